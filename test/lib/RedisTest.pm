# RedisTest.pm
#
# Real Redis servers for tests: started on a free loopback port in a directory of their own,
# spoken to by a few lines of RESP, compared by everything that they hold.
package RedisTest;

use strict;
use warnings;

use Exporter 'import';
use IO::Socket::INET;
use IPC::Run ();
use POSIX ();
use Test::More;
use Time::HiRes qw(time sleep);

use CustbackupTest;
use PostgreSQL::Test::Utils ();

our @EXPORT = qw(start_redis same redis_url strings fill_everything redis_backup redis_restore);

# The server is the same program as redis-check-rdb, by another name: Debian's redis-tools has it without
# the service that redis-server would start.
my $found;

sub find_server
{
    return $found if $found;
    for my $directory (split /:/, $ENV{PATH})
    {
        return $found = "$directory/redis-server" if -x "$directory/redis-server";
    }
    for my $directory (split /:/, $ENV{PATH})
    {
        next unless -x "$directory/redis-check-rdb";
        $found = PostgreSQL::Test::Utils::tempdir() . '/redis-server';
        symlink "$directory/redis-check-rdb", $found or die $!;
        return $found;
    }
    die "no redis-server and no redis-check-rdb: apt-get install redis-tools\n";
}

# Options: binary, arguments (behind its configuration file), conf (lines), dir, port, password (known to client()).
sub start_redis
{
    my (%option) = @_;
    my $self = bless {
        port => $option{port} // free_port(),
        dir  => $option{dir}  // PostgreSQL::Test::Utils::tempdir(),
        binary => $option{binary} // find_server(), conf => $option{conf} // '', password => $option{password},
        arguments => $option{arguments} // [],
    }, 'RedisTest::Server';
    $self->start;
    return $self;
}

sub redis_url
{
    my ($server, %option) = @_;
    my $auth = defined $option{password} ? ($option{user} // '') . ":$option{password}\@" : '';
    return ($option{scheme} // 'redis') . "://$auth" . ($option{host} // '127.0.0.1') . ':' . ($option{port} // $server->{port})
      . (defined $option{database} ? "/$option{database}" : '');
}

# A backup by the mover: its result; the job is in {job}, the last event in {done}.
sub redis_backup
{
    my ($settings, $store, $url, %option) = @_;
    my $job = backup_job($settings, $store, $url, engine => 'redis', type => 'redis', %option);
    my $result = run_mover($settings, $job);
    return { %$result, job => $job, done => last_event($result) };
}

sub redis_restore
{
    my ($settings, $store, $url, $backup, %option) = @_;
    my $job = restore_job($settings, $store, $url, $backup->{job}, $backup->{done}, engine => 'redis', type => 'redis', %option);
    my $result = run_mover($settings, $job);
    return { %$result, job => $job, done => last_event($result) };
}

# Two lists of keys (everything()) are equal, or the first lines that differ are shown.
sub same
{
    my ($got, $expected, $name) = @_;
    return pass($name) if $got eq $expected;
    my %got = map { $_ => 1 } split /\n/, $got;
    my %expected = map { $_ => 1 } split /\n/, $expected;
    my @more = grep { !$expected{$_} } sort keys %got;
    my @less = grep { !$got{$_} } sort keys %expected;
    fail($name);
    diag('too much: ', substr $_, 0, 200) for @more[0 .. ($#more > 3 ? 3 : $#more)];
    diag('missing:  ', substr $_, 0, 200) for @less[0 .. ($#less > 3 ? 3 : $#less)];
    return;
}

# key:1 and so on, each a string of its own and of a little more than so many bytes.
sub strings
{
    my ($server, $count, $size) = @_;
    $server->client->do('EVAL',
        'for i = 1, ARGV[1] do redis.call("SET", "key:" .. i, i .. string.rep(string.char(65 + i % 26), ARGV[2])) end',
        0, $count, $size);
}

# Every type and encoding that this server knows, in databases 0, 3 and 9, with expiries, groups and a function.
sub fill_everything
{
    my ($server) = @_;
    my $r = $server->client;
    $r->do('CONFIG', 'SET', 'list-max-listpack-size', 8);
    $r->do('SET', "text", 'hello');
    $r->do('SET', 'empty', '');
    $r->do('SET', 'int8', 7);
    $r->do('SET', 'int16', -300);
    $r->do('SET', 'int32', 70000);
    $r->do('SET', 'int64', '9223372036854775807');
    $r->do('SET', 'lzf', 'ab' x 2000);
    $r->do('SET', 'binary', join('', map { chr } 0 .. 255));
    $r->do('SET', 12345, 'a key that is a number');
    $r->do('SET', 'key' x 50, 'a key that compresses');
    $r->do('SET', $_, "odd $_") for 'with space', "new\nline", "q'uo\"te", '$dollar', '..', "caf\xc3\xa9", "\0nul", '';
    $r->do('SET', 'bits', "\x80\x01");
    $r->do('PFADD', 'hll', 1 .. 1000);
    $r->do('SET', 'expiring', 'x', 'PXAT', 4102444800123);
    $r->do('SET', 'sooner', 'x', 'EX', 86400);
    $r->do('RPUSH', 'list', 1 .. 5);
    $r->do('RPUSH', 'quicklist', map { "element $_ " . 'x' x ($_ % 50) } 1 .. 500);
    $r->do('RPUSH', 'plain', 'y' x 20000, 'z');
    $r->do('SADD', 'intset', 1, 2, 300000, 5000000000);
    $r->do('SADD', 'smallset', 'a', 'b', 'c');
    $r->do('SADD', 'hashset', map { "member $_" } 1 .. 300);
    $r->do('ZADD', 'smallzset', 1, 'a', 2.5, 'b', 'inf', 'c', '-inf', 'd');
    $r->do('ZADD', 'skiplist', map { ($_ / 8, "m$_") } 1 .. 300);
    $r->do('HSET', 'smallhash', a => 1, b => 'two');
    $r->do('HSET', 'hashtable', map { ("f$_" => "v$_") } 1 .. 700);
    $r->do('HSET', 'longhash', f => 'w' x 300);
    $r->do('PEXPIREAT', 'smallhash', 4102444800000);
    $r->do('XADD', 'stream', "$_-1", field => "value $_", other => $_ * $_) for 1 .. 250;
    $r->do('XGROUP', 'CREATE', 'stream', 'group', 0);
    $r->do('XGROUP', 'CREATE', 'stream', 'idle', '$');
    $r->do('XREADGROUP', 'GROUP', 'group', 'alice', 'COUNT', 20, 'STREAMS', 'stream', '>');
    $r->do('XREADGROUP', 'GROUP', 'group', 'bob', 'COUNT', 10, 'STREAMS', 'stream', '>');
    $r->do('XACK', 'stream', 'group', '2-1');
    $r->do('XDEL', 'stream', '5-1');
    $r->do('XADD', 'emptied', '1-1', a => 1);
    $r->do('XDEL', 'emptied', '1-1');
    $r->do('FUNCTION', 'LOAD', "#!lua name=mylib\nredis.register_function('myfunc', function(k, a) return a[1] end)");
    if ($r->ask('HEXPIRE', 'smallhash', 100, 'FIELDS', 1, 'nothing') !~ /unknown/)
    {
        $r->do('HSET', 'fields', a => 1, b => 2);
        $r->do('HPEXPIREAT', 'fields', 4102444800000, 'FIELDS', 1, 'a');
        $r->do('HSET', 'manyfields', map { ("f$_" => "v$_") } 1 .. 700);
        $r->do('HPEXPIREAT', 'manyfields', 4102444800000, 'FIELDS', 2, 'f7', 'f8');
    }
    $r->do('SELECT', 3);
    $r->do('SET', 'other', 'in database 3');
    $r->do('SET', "k$_", "v$_") for 1 .. 100;
    $r->do('SELECT', 9);
    $r->do('SET', 'elsewhere', 'in database 9', 'PXAT', 4102444800999);
    $r->do('SELECT', 0);
    return;
}

package RedisTest::Server;

use Time::HiRes qw(time sleep);
use Test::More;

my $facts_of = <<'LUA';
local facts = {}
for i, key in ipairs(KEYS) do
    facts[i] = redis.call('TYPE', key).ok .. ' ' .. redis.call('OBJECT', 'ENCODING', key) .. ' ' .. redis.call('PEXPIRETIME', key)
end
return facts
LUA

sub start
{
    my ($self) = @_;
    open my $fh, '>', "$self->{dir}/redis.conf" or die $!;
    print $fh "port $self->{port}\nbind 127.0.0.1\ndir $self->{dir}\nlogfile $self->{dir}/log\ndaemonize no\n"
      . "repl-diskless-sync-delay 0\nenable-debug-command yes\nsave \"\"\n$self->{conf}";
    close $fh;
    my $pid = fork // die $!;
    if ($pid == 0)
    {
        open STDOUT, '>', '/dev/null';
        open STDERR, '>', '/dev/null';
        exec $self->{binary}, "$self->{dir}/redis.conf", @{ $self->{arguments} } or POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    for (1 .. 200)
    {
        return if IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port});
        last if waitpid($pid, POSIX::WNOHANG()) == $pid;
        sleep 0.05;
    }
    die "redis did not start: " . `tail -5 $self->{dir}/log 2>/dev/null`;
}

sub stop
{
    my ($self, $signal) = @_;
    return unless $self->{pid};
    kill $signal // 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
    delete $self->{pid};
}

sub DESTROY
{
    my ($self) = @_;
    local ($?, $@);
    $self->stop;
}

sub client
{
    my ($self, %option) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port}) or die "connect: $!";
    my $client = bless { socket => $socket }, 'RedisTest::Client';
    my $password = $option{password} // $self->{password};
    $client->do('AUTH', $option{user} // (), $password) if defined $password;
    return $client;
}

# 'Redis 7.0', 'Valkey 8.1'.
sub version
{
    my ($self) = @_;
    my $info = $self->client->do('INFO', 'server');
    return "Valkey $1" if $info =~ /^valkey_version:(\d+\.\d+)/m;
    return $info =~ /^redis_version:(\d+\.\d+)/m ? "Redis $1" : die $info;
}

# The version of RDB that it writes: a payload's last bytes but for its checksum.
sub rdb_version
{
    my ($self) = @_;
    my $client = $self->client;
    $client->do('SET', 'probe', 1);
    my $payload = $client->do('DUMP', 'probe');
    $client->do('DEL', 'probe');
    return unpack 'v', substr $payload, -10, 2;
}

# One line a key of every database: number, key, type, encoding, expiry in ms, digest of the value.
# Options: database (that one alone), skip (a pattern of keys to pass over).
sub everything
{
    my ($self, %option) = @_;
    my $r = $self->client;
    my @lines;
    for my $database (sort { $a <=> $b } $r->ask('INFO', 'keyspace') =~ /^db(\d+):/mg)
    {
        next if defined $option{database} && $option{database} != $database;
        $r->do('SELECT', $database);
        my @keys = sort @{ $r->ask('KEYS', '*') };
        @keys = grep { $_ !~ $option{skip} } @keys if $option{skip};
        while (my @some = splice @keys, 0, 500)
        {
            my $digests = $r->do('DEBUG', 'DIGEST-VALUE', @some);
            my $facts = $r->do('EVAL', $facts_of, scalar @some, @some);
            for my $i (0 .. $#some)
            {
                my ($type, $encoding, $expiry) = split / /, $facts->[$i];
                my $more = $type eq 'stream' ? $self->stream($r, $some[$i]) : $type eq 'hash' ? $self->fields($r, $some[$i]) : '';
                push @lines, join ' ', $database, $some[$i], $type, $encoding, $expiry, $digests->[$i], $more;
            }
        }
    }
    push @lines, 'functions ' . unpack 'H*', $r->ask('FUNCTION', 'DUMP') unless defined $option{database};
    return join "\n", @lines;
}

# Those that expire, and when; nothing of a server that knows no such fields.
sub fields
{
    my ($self, $r, $key) = @_;
    my @names = sort @{ $r->ask('HKEYS', $key) };
    my $times = $r->ask('HPEXPIRETIME', $key, 'FIELDS', scalar @names, @names);
    return '' unless ref $times;
    return join ' ', map { $times->[$_] < 0 ? () : "$names[$_]=$times->[$_]" } 0 .. $#names;
}

# Groups, consumers and pending entries, without the times that pass.
sub stream
{
    my ($self, $r, $key) = @_;
    my $text = RedisTest::Client::flatten($r->ask('XINFO', 'STREAM', $key, 'FULL'));
    $text =~ s/(seen-time|active-time) \d+/$1/g;
    return $text;
}

package RedisTest::Client;

sub send
{
    my ($self, @words) = @_;
    my $text = '*' . @words . "\r\n";
    $text .= '$' . length($_) . "\r\n$_\r\n" for @words;
    syswrite_all($self->{socket}, $text);
}

sub syswrite_all
{
    my ($socket, $text) = @_;
    while (length $text)
    {
        my $sent = syswrite $socket, $text or die "redis closed the connection";
        substr($text, 0, $sent, '');
    }
}

sub ask
{
    my ($self, @words) = @_;
    $self->send(@words);
    return $self->reply;
}

# Dies on an error reply.
sub do
{
    my ($self, @words) = @_;
    my $reply = $self->ask(@words);
    die "redis: @words[0 .. ($#words > 2 ? 2 : $#words)]: $reply" if !ref $reply && $self->{was_error};
    return $reply;
}

sub reply
{
    my ($self) = @_;
    my $line = readline $self->{socket};
    die "redis closed the connection" unless defined $line;
    $line =~ s/\r\n\z//;
    my $kind = substr $line, 0, 1, '';
    $self->{was_error} = $kind eq '-';
    return $line if $kind =~ /[-+:]/;
    return undef if $line < 0;
    if ($kind eq '$')
    {
        my $text = '';
        while (length $text < $line + 2)
        {
            read $self->{socket}, $text, $line + 2 - length $text, length $text or die "redis closed the connection";
        }
        return substr $text, 0, $line;
    }
    my @all = map { $self->reply } 1 .. $line;
    $self->{was_error} = 0;
    return \@all;
}

sub flatten
{
    my ($value) = @_;
    return ref $value ? '[' . join(' ', map { flatten($_) } @$value) . ']' : $value // 'nil';
}

1;
