# FakeRedis.pm
#
# A server that answers as a diskless master does, but for what a test wants it to say.
package FakeRedis;

use strict;
use warnings;

use Exporter 'import';
use IO::Socket::INET;
use Time::HiRes qw(sleep);

use RedisTest;

our @EXPORT = qw(backup_of_fake);

my $info = "# Server\r\nredis_version:7.0.15\r\nuptime_in_seconds:100\r\nrole:master\r\nused_memory:1000000\r\n"
  . "rdb_last_bgsave_status:ok\r\ndb0:keys=23,expires=1,avg_ttl=0\r\n";
my %usual = (
    INFO         => '$' . length($info) . "\r\n$info\r\n",
    GET          => "\$-1\r\n",
    'CONFIG GET' => "*2\r\n\$18\r\nrepl-diskless-sync\r\n\$3\r\nyes\r\n",
);

# The words of one command; undef: the client is gone.
sub command
{
    my ($client) = @_;
    my ($count) = (<$client> // '') =~ /^\*(\d+)/ or return;
    my @words;
    for (1 .. $count)
    {
        my $length = substr <$client>, 1;
        read $client, my $word, $length + 2;
        push @words, substr $word, 0, -2;
    }
    return @words;
}

# One client: to a command of %$answer a text, or pieces that are sent one by one, or what is made of all commands up to it.
sub serve
{
    my ($client, $answer) = @_;
    my @heard;
    $client->autoflush(1);
    while (my @words = command($client))
    {
        push @heard, "@words";
        my $command = uc $words[0];
        $command .= ' ' . uc $words[1] if $command =~ /^(CONFIG|CLIENT)$/;
        my $reply = $answer->{$command} // $usual{$command} // "+OK\r\n";
        $reply = $reply->(@heard) if ref $reply eq 'CODE';
        for my $piece (ref $reply ? @$reply : $reply)
        {
            print $client $piece;
            sleep 0.02 if ref $reply && @$reply < 100;
        }
        return if $command eq 'SYNC';
    }
}

# The result of a backup of such a server.
sub backup_of_fake
{
    my ($settings, $store, %answer) = @_;
    my $listener = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die $!;
    my $port = $listener->sockport;
    my $pid = fork // die;
    if ($pid == 0)
    {
        $SIG{PIPE} = 'IGNORE';
        while (my $client = $listener->accept)
        {
            serve($client, \%answer);
            close $client;
        }
        exit;
    }
    close $listener;
    my $got = redis_backup($settings, $store, "redis://127.0.0.1:$port");
    kill 'KILL', $pid;
    waitpid $pid, 0;
    return $got;
}

1;
