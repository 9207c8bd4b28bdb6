# perl: closures, a sort in progress, a child at the other end of a pipe, an alarm that is still to come.
use strict;
use warnings;
use IO::Handle;
use POSIX ();

my $result = shift;
sub say_line { open my $f, '>>', $result or die; print $f "$_[0]\n"; close $f }

my %count = map { $_ => $_ ** 2 } 1 .. 50_000;
my @adders = map { my $n = $_; sub { $n += shift } } 1 .. 100;
$_->(1000) for @adders;

pipe(my $from, my $to) or die;
pipe(my $back, my $answer) or die;
my $child = fork // die;
if (!$child) {
	close $to;
	close $back;
	$answer->autoflush(1);
	while (my $line = <$from>) { chomp $line; print $answer scalar(reverse $line), "\n" }
	exit 7;
}
close $from;
close $answer;
$to->autoflush(1);
print $to "before\n";
die unless <$back> eq "erofeb\n";

my $alarms = 0;
$SIG{ALRM} = sub { $alarms++ };
my $go = POSIX::SigSet->new(POSIX::SIGUSR1());
POSIX::sigprocmask(POSIX::SIG_BLOCK(), $go);
$SIG{USR1} = sub { };
alarm 2;

# A comparison function stops in the middle of a sort: that is where the snapshot is taken.
my $compared = 0;
my @sorted = sort {
	if (++$compared == 5_000) {
		say_line("READY");
		POSIX::sigsuspend(POSIX::SigSet->new());
	}
	$count{$a} <=> $count{$b}
} reverse 1 .. 5_000, map { $_ * 3 } 2_000 .. 5_000;

for my $i (1 .. $#sorted) { die "not sorted at $i" if $sorted[$i - 1] > $sorted[$i] }
die "sort lost something" unless @sorted == 8_001;
for my $i (0 .. 99) { die "closure $i" unless $adders[$i]->(1) == $i + 1002 }
for my $k (1 .. 50_000) { die "key $k" unless $count{$k} == $k ** 2 }
print $to "after\n";
die unless <$back> eq "retfa\n";
select(undef, undef, undef, 10) until $alarms;
close $to;
waitpid $child, 0;
die "child: $?" unless $? == 7 << 8;
say_line("PASS");
