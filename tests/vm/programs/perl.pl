# SPDX-License-Identifier: MIT
# Perl's own work: texts, hashes, numbers large and small, packing, modules with C inside.
use strict;
use warnings;
use Digest::MD5 qw(md5_hex);
use Digest::SHA qw(sha1_hex sha256_hex sha512_hex);
use Encode qw(encode decode);
use List::Util qw(reduce sum);
use Math::BigFloat;
use Math::BigInt;
use MIME::Base64;
use Storable qw(freeze thaw);
use Time::Local;

my $seed = 42;
sub any { $seed = ($seed * 69069 + 1) % 4294967296; return int($seed / 65536) % $_[0]; }

my @words = map { join '', map { chr(97 + any(26)) } 1 .. 3 + any(8) } 1 .. 40000;
my %seen;
$seen{$_}++ for map { substr $_, 0, 2 } @words;
print join(' ', map { "$_=$seen{$_}" } (sort { $seen{$b} <=> $seen{$a} || $a cmp $b } keys %seen)[0 .. 9]), "\n";
my $text = join ' ', @words;
print length($text), ' ', sha256_hex($text), ' ', md5_hex($text), ' ', sha1_hex($text), "\n";
print sha512_hex(join ' ', sort { $a cmp $b } @words), "\n";
my $n = () = $text =~ /\b([a-z])[a-z]*\1\b/g;
(my $changed = $text) =~ s/([aeiou])([^aeiou ]+)/$2\U$1/g;
print "$n ", sha256_hex($changed), ' ', ($changed =~ tr/A-Z//), "\n";
print sha256_hex(join ',', split /[xyz]+/, $text), "\n";

my $sum = 0;
for my $i (1 .. 100000) {
	$sum += sin($i) * exp($i % 20 / 5) + log($i) / sqrt($i) - atan2($i, 7) + $i ** 0.3;
}
printf "%.17g %a %s %g\n", $sum, $sum, $sum, $sum;
printf "%s %s %s\n", 1e15 + 0.3, 1 / 7, 1e-320;
print join(' ', map { sprintf '%.0f', $_ } 0.5, 1.5, 2.5, 1e20, -7.5), "\n";
print 18446744073709551615 % 1000003, ' ', -7 % 3, ' ', 7 % -3, ' ', 2 ** 63, ' ', ~0 >> 3, "\n";

print Math::BigInt->new(3)->bpow(500), "\n";
print Math::BigInt->new('123456789' x 9)->bmodpow('987654321' x 5, '1000000007' x 4), "\n";
print Math::BigFloat->new(2)->bsqrt(120), ' ', Math::BigFloat->bpi(120), "\n";
print Math::BigInt->bfac(120), "\n";

my $packed = pack 'a4 n N v V q> Q< d f F w/a', 'wslx', 1, 2, 3, 4, -5, 6, 1 / 3, 0.1, 1e300, 'tail';
print unpack('H*', $packed), "\n", join(' ', unpack 'A4 n N v V q> Q< d f F', $packed), "\n";
print unpack('%32C*', $text), ' ', unpack('%64b*', substr $text, 0, 5000), "\n";
print encode_base64(substr($text, 0, 90)), md5_hex(encode('UTF-16LE', decode 'UTF-8', "\xc3\xa4\xe2\x82\xac" x 999)), "\n";
my $tree = thaw freeze {map { $_ => [length, {up => uc}] } @words[0 .. 4999]};
print scalar(keys %$tree), ' ', sum(map { $_->[0] } values %$tree), "\n";
print scalar(gmtime 1700000000), ' ', timegm(1, 2, 3, 4, 5, 2033), "\n";
print reduce { ($a * 31 + ord $b) % 1000000007 } 7, split //, substr $text, 0, 60000;
print "\n";

sub ackermann { no warnings 'recursion'; my ($m, $k) = @_; return !$m ? $k + 1 : !$k ? ackermann($m - 1, 1) : ackermann($m - 1, ackermann($m, $k - 1)); }
print ackermann(2, 120), "\n";
print eval { die {code => 7} } // "died with $@->{code}", "\n";
my $pid = open(my $child, '-|') // die;
if (!$pid) { print "from a child\n"; exit 3; }
print <$child>;
close $child;
print $? >> 8, "\n";
