# FaultProxy.pm
#
# An HTTP proxy for tests that stands in front of a real server and breaks what it is told
# to break.  One process a connection; what they share is a file of counters under a lock.
#
# A rule is a hash.  It applies to a request whose "METHOD /path?query" matches {match}
# (a regular expression, default: every request), to the {nth} one of these (1 is the first;
# without it to all), and does one thing:
#
#   answer => 503, body => '...', headers => [...]   without asking the server
#   then   => 'answer'                               the server is asked first, and its answer thrown away
#   drop   => 1              the connection ends without a word before the server is asked
#   lose   => 1              the server is asked; its answer is lost
#   cut_request => N         the connection ends after N bytes of the request's body
#   cut_answer => N          it ends after N bytes of the answer's body
#   short_answer => N        the answer's body is N bytes long, and says so
#   corrupt_request => N     the lowest bit of byte N of the request's body is flipped
#   corrupt_answer => N      of the answer's body
#   delay  => S              seconds before the server is asked
#   slow_answer => R         the answer's body at R bytes a second
#   slow_request => R        the request's body is taken at R bytes a second
#   add_headers => [...]     to the answer
package FaultProxy;

use strict;
use warnings;

use Fcntl qw(:flock SEEK_SET);
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Time::HiRes qw(sleep);

# upstream: "127.0.0.1:port"; directory: for the log and the counters.
sub start
{
    my ($class, $upstream, $directory, @rules) = @_;
    my $listener = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die "listen: $@";
    my $self = bless {
        upstream => $upstream, port => $listener->sockport, log => "$directory/proxy.log",
        counters => "$directory/proxy.counters", renewed => "$directory/proxy.renewed"
    }, $class;
    $self->{listener} = $listener;
    $self->rules(@rules);
    # Before there is anybody whom the signal could meet unprepared.
    local $SIG{USR1} = sub { $self->{renew} = 1 };
    my $pid = fork // die "fork: $!";
    if ($pid == 0)
    {
        POSIX::setpgid(0, 0);
        $self->accept_connections;
        POSIX::_exit(0);
    }
    POSIX::setpgid($pid, $pid);
    close $listener;
    delete $self->{listener};
    $self->{pid} = $pid;
    return $self;
}

# The proxy's first process.  At a SIGUSR1 everybody of before goes, those too whom nobody has taken yet.
sub accept_connections
{
    my ($self) = @_;
    my $listener = $self->{listener};
    my %children;
    $SIG{PIPE} = 'IGNORE';
    $SIG{TERM} = 'DEFAULT';
    $listener->blocking(0);
    while (1)
    {
        IO::Select->new($listener)->can_read(0.02) unless $self->{renew};
        my $client = $listener->accept;
        if ($client && !$self->{renew})
        {
            $client->blocking(1);
            my $child = fork // next;
            if ($child == 0)
            {
                close $listener;
                $SIG{USR1} = 'DEFAULT';
                eval { $self->serve($client) };
                POSIX::_exit(0);
            }
            $children{$child} = 1;
        }
        while ((my $ended = waitpid -1, POSIX::WNOHANG()) > 0) { delete $children{$ended} }
        next if !$self->{renew} || $client;
        kill 'KILL', keys %children;
        waitpid $_, 0 for keys %children;
        %children = ();
        $self->{renew} = 0;
        _write($self->{renewed}, 'yes');
    }
}

sub endpoint { return "http://127.0.0.1:$_[0]{port}" }

# Other rules from now on; counters and log begin anew.
sub rules
{
    my ($self, @rules) = @_;
    # What is still under way for somebody who has gone would count as a request of the next.
    if ($self->{pid})
    {
        unlink $self->{renewed};
        kill 'USR1', $self->{pid};
        sleep 0.002 until -s $self->{renewed} || waitpid($self->{pid}, POSIX::WNOHANG()) != 0;
    }
    _write($self->{log}, '');
    _write($self->{counters}, JSON::PP::encode_json({ rules => \@rules, seen => [ (0) x @rules ] }));
    return;
}

# "METHOD /path?query" of every request so far, with what was done to it.
sub requests
{
    my ($self) = @_;
    open my $fh, '<', $self->{log} or return;
    chomp(my @lines = <$fh>);
    return @lines;
}

sub stop
{
    my ($self) = @_;
    kill 'KILL', -$self->{pid} if $self->{pid};
    waitpid $self->{pid}, 0 if $self->{pid};
    delete $self->{pid};
    return;
}

sub DESTROY
{
    local $?;
    $_[0]->stop;
}

# ---- in a connection's own process ---------------------------------------------------------------

sub _write
{
    my ($file, $text) = @_;
    open my $fh, '>', $file or die "$file: $!";
    print $fh $text;
    close $fh or die $!;
    return;
}

# The rule that applies to this request, and the line in the log.
sub choose
{
    my ($self, $line) = @_;
    open my $fh, '+<', $self->{counters} or die $!;
    flock $fh, LOCK_EX;
    local $/;
    my $state = JSON::PP::decode_json(<$fh>);
    my $chosen;
    for my $i (0 .. $#{ $state->{rules} })
    {
        my $rule = $state->{rules}[$i];
        next if defined $rule->{match} && $line !~ /$rule->{match}/;
        $state->{seen}[$i]++;
        $chosen //= $rule if !defined $rule->{nth} || $rule->{nth} == $state->{seen}[$i];
    }
    seek $fh, 0, SEEK_SET;
    truncate $fh, 0;
    print $fh JSON::PP::encode_json($state);
    open my $log, '>>', $self->{log} or die $!;
    my ($what) = $chosen ? grep { $_ ne 'match' && $_ ne 'nth' && $_ ne 'body' && $_ ne 'headers' } sort keys %$chosen : ();
    print $log $line, ($what ? " [$what $chosen->{$what}]" : ''), "\n";
    close $log;
    close $fh;
    return $chosen // {};
}

sub read_head
{
    my ($socket) = @_;
    my $head = '';
    while ($head !~ /\r\n\r\n/)
    {
        my $byte;
        sysread($socket, $byte, 1) or return;
        $head .= $byte;
    }
    return $head;
}

sub write_all
{
    my ($socket, $bytes) = @_;
    my $at = 0;
    while ($at < length $bytes)
    {
        my $written = syswrite $socket, $bytes, length($bytes) - $at, $at;
        return unless $written;
        $at += $written;
    }
    return 1;
}

# Copies a body; rule keys end in _$which.  Returns false when the connection is to end.
sub copy_body
{
    my ($from, $to, $length, $rule, $which) = @_;
    my ($cut, $corrupt, $rate) = @{$rule}{ "cut_$which", "corrupt_$which", "slow_$which" };
    my $at = 0;
    while (!defined $length || $at < $length)
    {
        my $wanted = $rate ? ($rate > 10 ? int($rate / 10) : 1) : 65536;
        $wanted = $length - $at if defined $length && $wanted > $length - $at;
        if (defined $cut)
        {
            return if $at >= $cut;
            $wanted = $cut - $at if $wanted > $cut - $at;
        }
        my $bytes;
        my $got = sysread $from, $bytes, $wanted;
        return !defined $length unless $got;
        sleep $got / $rate if $rate;
        if (defined $corrupt && $corrupt >= $at && $corrupt < $at + $got)
        {
            substr($bytes, $corrupt - $at, 1) = chr(ord(substr $bytes, $corrupt - $at, 1) ^ 1);
        }
        $at += $got;
        return if $to && !write_all($to, $bytes);
    }
    return !defined $cut || $cut >= $at;
}

sub own_answer
{
    my ($client, $rule, $is_head) = @_;
    my $body = $rule->{body} // '';
    my @headers = map { "$_\r\n" } @{ $rule->{headers} // [] };
    my $head = "HTTP/1.1 $rule->{answer} Fault\r\n" . join('', @headers) . "Content-Length: " . length($body) . "\r\n\r\n";
    return write_all($client, $head . ($is_head ? '' : $body));
}

sub serve
{
    my ($self, $client) = @_;
    while (defined(my $head = read_head($client)))
    {
        my ($line) = $head =~ /^(\S+ \S+)/;
        my ($length) = $head =~ /^content-length:\s*(\d+)/mi;
        my $is_head = $head =~ /^HEAD /;
        my $rule = $self->choose($line);
        $length //= 0;
        return if $rule->{drop};
        sleep $rule->{delay} if $rule->{delay};
        if (defined $rule->{answer} && ($rule->{then} // '') ne 'answer')
        {
            copy_body($client, undef, $length, $rule, 'request') or return;
            own_answer($client, $rule, $is_head) or return;
            next;
        }
        my $server = IO::Socket::INET->new(PeerAddr => $self->{upstream}) or return;
        $head =~ s/^connection:.*\r\n//mi;
        $head =~ s/\r\n\r\n\z/\r\nConnection: close\r\n\r\n/;
        write_all($server, $head) or return;
        copy_body($client, $server, $length, $rule, 'request') or return;
        my $answer = read_head($server) // return;
        my ($answer_length) = $answer =~ /^content-length:\s*(\d+)/mi;
        my $has_body = !$is_head && $answer !~ /^HTTP\S+ (204|304)/;
        if ($rule->{lose} || $rule->{then})
        {
            copy_body($server, undef, $answer_length, {}, 'answer') if $has_body;
            return if $rule->{lose};
            own_answer($client, $rule, $is_head) or return;
            next;
        }
        if (defined $rule->{short_answer})
        {
            $answer =~ s/^content-length:.*\r\n/Content-Length: $rule->{short_answer}\r\n/mi;
            $answer_length = $rule->{short_answer};
        }
        $answer =~ s/^connection:.*\r\n//mi;
        my $added = join '', map { "$_\r\n" } @{ $rule->{add_headers} // [] };
        $answer =~ s/\r\n\r\n\z/\r\n$added\r\n/;
        write_all($client, $answer) or return;
        copy_body($server, $client, $answer_length, $rule, 'answer') or return if $has_body;
        return if $has_body && !defined $answer_length;
    }
    return;
}

1;
