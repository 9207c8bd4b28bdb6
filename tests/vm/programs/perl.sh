# SPDX-License-Identifier: MIT
perl "$HERE/perl.pl"
