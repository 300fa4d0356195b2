# Redis 7.0, Redis 8 and Valkey, from one to the other.  The newer servers are those of a Debian 13 in
# CUSTBACKUP_CHROOTS (where `make check-17` makes one); without it there is nothing to compare.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use CustbackupTest;
use RedisTest;
use Test::More;

my ($settings, $store, $directory) = mover_settings();
my $trixie = ($ENV{CUSTBACKUP_CHROOTS} // ($ENV{XDG_CACHE_HOME} // "$ENV{HOME}/.cache") . '/custbackup-chroots') . '/trixie';

# A program of the other Debian, by its own loader and libraries.
sub foreign
{
    my ($name) = @_;
    my $program = "$trixie/usr/bin/$name";
    my ($loader) = glob "$trixie/lib64/ld-linux-*.so.*";
    my $libraries = join ':', grep { -d } glob "$trixie/usr/lib/*-linux-gnu $trixie/lib/*-linux-gnu";
    return unless -x $program && $loader;
    my $script = "$directory/$name";
    append_to_file($script, "#!/bin/sh\nexec $loader --library-path $libraries $program \"\$@\"\n");
    chmod 0755, $script;
    return system("$script --version >/dev/null 2>&1") == 0 ? $script : undef;
}

sub append_to_file
{
    my ($file, $text) = @_;
    open my $fh, '>>', $file or die $!;
    print $fh $text;
    close $fh or die $!;
}

my %binary = (redis7 => undef, redis8 => scalar foreign('redis-server'), valkey => scalar foreign('valkey-server'));
plan skip_all => "no Redis 8 or Valkey in $trixie" if !grep { defined } values %binary;

my %server;
for my $name (sort keys %binary)
{
    next if $name ne 'redis7' && !$binary{$name};
    $server{$name} = start_redis($binary{$name} ? (binary => $binary{$name}) : ());
}

# Type and encoding may differ from one to the other; what is in a key may not.
sub contents
{
    my ($server) = @_;
    return join "\n", map { /^functions/ ? 'functions ' . (/6d796c6962/ ? 'mylib' : '') : $_ }
      map { s/^(\S+ .*? (?:string|list|set|zset|hash|stream)) \S+ (-?\d+ [0-9a-f]{40}).*$/$1 $2/sr } split /\n(?=\d+ |functions)/,
      $server->everything;
}

my %rdb = (redis7 => 10, redis8 => 12, valkey => 11);
for my $from (sort keys %server)
{
    $server{$from}->client->do('FLUSHALL');
    fill_everything($server{$from});
    my $all = $server{$from}->everything;
    my $backup = redis_backup($settings, $store, redis_url($server{$from}));
    is($backup->{done}{event}, 'done', "$from: backup") or diag explain $backup->{done};
    is($backup->{done}{counts}{rdb_version}, $rdb{$from}, "$from: RDB version");
    like($backup->{done}{server}, $from eq 'valkey' ? qr/^Valkey \d/ : qr/^Redis \d/, "$from: named");
    my $scanned = redis_backup($settings, $store, redis_url($server{$from}, database => 0));
    is($scanned->{done}{consistency}, 'per key', "$from: database 0 key by key");
    for my $to (sort keys %server)
    {
        my $target = start_redis($binary{$to} ? (binary => $binary{$to}) : ());
        for my $way ($backup, $scanned)
        {
            my $url = redis_url($target, $way == $scanned ? (database => 0) : ());
            my $name = "$from to $to, $way->{done}{consistency}";
            my $got = redis_restore($settings, $store, $url, $way, mode => 'clone');
            if ($rdb{$from} > $rdb{$to})
            {
                is($got->{done}{reason}, 'not_restorable', "$name: refused") or diag explain $got->{done};
                like($got->{done}{detail}, qr/RDB version $rdb{$from} .* takes RDB version $rdb{$to} at most/, 'both versions named');
                is($target->client->do('INFO', 'keyspace'), "# Keyspace\r\n", 'nothing was touched');
                next;
            }
            is($got->{done}{event}, 'done', "$name: restored") or diag explain $got->{done};
            if ($way == $scanned)
            {
                is($target->client->do('DBSIZE'), $server{$from}->client->do('DBSIZE'), "$name: all keys");
            }
            elsif ($from eq $to)
            {
                same($target->everything, $all, "$name: everything");
            }
            else
            {
                same(contents($target), contents($server{$from}), "$name: what is in every key");
            }
            $target->client->do('FLUSHALL');
            $target->client->do('FUNCTION', 'FLUSH');
        }
    }
}

done_testing();
