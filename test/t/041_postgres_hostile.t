# A customer's server is the customer's: it may answer anything.  Whatever it says, the
# mover ends in time with a reason, and repeats nothing that it had told the server.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use CustbackupTest;
use IO::Socket::INET;
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;

my ($settings, $store) = mover_settings();
my $password = 'distinctive-hunter2';

sub message { my ($type, $body) = @_; return $type . pack('N', 4 + length $body) . $body }
sub fields  { return join('', map { "$_\0" } @_) . "\0" }
sub notice  { return message('N', fields('SNOTICE', 'VNOTICE', 'C00000', "Myour password is $_[0]")) }

my $ready = message('Z', 'I');

# What it answers to a question, by the name of its kind.
my %answers = (
    'no row' => sub { message('C', "SELECT 0\0") },
    'one narrow row' => sub { message('T', pack('n', 1) . "x\0" . pack('NnNnNn', 0, 0, 25, -1 & 0xffff, 0xffffffff, 0))
          . message('D', pack('nN', 1, 1) . 'x') . message('C', "SELECT 1\0") },
    'a copy' => sub { message('H', pack('Cn', 0, 0)) },
    'an error' => sub { message('E', fields('SERROR', 'VERROR', 'C42501', "Mno, $_[0]")) },
    'notices' => sub { notice($_[0]) x 2000 . message('C', "SELECT 0\0") },
);

sub get
{
    my ($socket, $length) = @_;
    my $bytes = '';
    while (length $bytes < $length)
    {
        sysread($socket, $bytes, $length - length $bytes, length $bytes) or POSIX::_exit(0);
    }
    return $bytes;
}

# One session; the password is asked for in clear, so that the server has it.
sub serve
{
    my ($socket, $answer) = @_;
    my $said;
    while (1)
    {
        my $startup = get($socket, unpack('N', get($socket, 4)) - 4);
        last if unpack('N', $startup) == 196608;
        syswrite $socket, 'N';
    }
    syswrite $socket, message('R', pack('N', 3));
    get($socket, 1);
    $said = get($socket, unpack('N', get($socket, 4)) - 4) =~ s/\0\z//r;
    syswrite $socket, message('R', pack('N', 0)) . notice($said) . message('S', "server_version\0" . "15.4\0")
      . message('S', "client_encoding\0UTF8\0") . message('K', pack('NN', 1, 1)) . $ready;
    while (1)
    {
        my $type = get($socket, 1);
        get($socket, unpack('N', get($socket, 4)) - 4);
        POSIX::_exit(0) if $type eq 'X';
        syswrite $socket, message('1', '') if $type eq 'P';
        syswrite $socket, message('2', '') if $type eq 'B';
        syswrite $socket, message('n', '') if $type eq 'D' && $answer != $answers{'one narrow row'};
        syswrite $socket, $answer->($said) if $type eq 'E' || $type eq 'Q';
        syswrite $socket, $ready if $type eq 'S' || $type eq 'Q';
    }
}

sub start_server
{
    my ($answer) = @_;
    my $listener = IO::Socket::INET->new(Listen => 16, LocalAddr => '127.0.0.1', Proto => 'tcp') or die $!;
    my $pid = fork() // die $!;
    return ($listener->sockport, $pid) if $pid;
    $SIG{CHLD} = 'IGNORE';
    $SIG{PIPE} = sub { POSIX::_exit(0) };
    alarm 120;
    while (my $socket = $listener->accept)
    {
        alarm 120;
        if (!(fork() // die $!)) { serve($socket, $answer) }
        close $socket;
    }
    POSIX::_exit(0);
}

for my $kind (sort keys %answers)
{
    my ($port, $server) = start_server($answers{$kind});
    my $result = run_mover($settings, backup_job($settings, $store, "postgresql://app:$password\@127.0.0.1:$port/shop"));
    my $event = last_event($result);

    kill 'KILL', $server;
    waitpid $server, 0;
    is($result->{signal}, 0, "$kind: the mover lives");
    is($event->{event}, 'failed', "$kind: the backup does not");
    like($event->{reason} // '', qr/^(auth|unreachable|dump|config)$/, "$kind: " . ($event->{detail} // ''));
    cmp_ok($result->{seconds}, '<', 30, "$kind: in time");
    unlike($result->{stdout}, qr/hunter2/, "$kind: no event repeats the password");
    unlike($result->{stderr}, qr/hunter2/, "$kind: nor does stderr");
}

done_testing();
