# A bucket and nothing else: Redis and MongoDB, listed, verified to the last byte of their formats, and put
# back by the operator's commands, into an empty database and over one that has changed (Postgres: 255).
use strict;
use warnings;

use CustbackupTest;
use IPC::Run ();
use JSON::PP ();
use MongoTest;
use PostgreSQL::Test::Utils;
use RedisTest;
use S3Test;
use Test::More;

my $directory = PostgreSQL::Test::Utils::tempdir();
my $credentials = "$directory/credentials";
append_to_file($credentials, "[default]\naws_access_key_id = $access_key\naws_secret_access_key = $secret_key\n");
chmod 0600, $credentials;
my ($settings) = mover_settings(credentials_file => $credentials, tool_path => MongoTest::tools_directory());

# Returns (exit status, stdout, stderr).
sub tool
{
    my ($verb, $store, $url, @arguments) = @_;
    my ($out, $err) = ('', '');
    my $input = "$directory/input";
    open my $fh, '>', $input or die $!;
    print $fh $url;
    close $fh or die $!;
    IPC::Run::run([ $mover, $verb, "--store=$store", "--credentials-file=$credentials", "--spool-dir=$directory", @arguments ],
        '<', $input, '>', \$out, '2>', \$err, IPC::Run::timeout(120));
    return ($? >> 8, $out, $err);
}

my ($redis, $redis_clone) = (start_redis(), start_redis());
strings($redis, 50, 100);
my $mongodb = start_mongodb();
$mongodb->say('shop {"insert":"item","documents":[{"_id":1,"s":"x"},{"_id":{"$oid":"0123456789abcdef01234567"}}]}',
    'shop {"createIndexes":"item","indexes":[{"key":{"s":1},"name":"by_s"}]}');
my %engine = (
    redis => {
        url => redis_url($redis), clone => redis_url($redis_clone), holds => sub { ($_[0] ? $redis_clone : $redis)->everything },
        change => sub { $redis->client->do('FLUSHALL'); $redis->client->do('SET', 'later', 1) },
        empty => sub { $redis_clone->client->do('FLUSHALL') },
    },
    mongodb => {
        url => mongodb_url($mongodb), clone => mongodb_url($mongodb, database => 'clone'), holds => sub { $mongodb->everything($_[0] ? 'clone' : 'shop') },
        change => sub { $mongodb->say('shop {"delete":"item","deletes":[{"q":{},"limit":0}]}', 'shop {"insert":"later","documents":[{"_id":1}]}') },
        empty => sub { $mongodb->say('clone {"dropDatabase":1}') },
    },
);

for my $server (start_s3_servers())
{
    make_bucket($server, 'backups');
    my $store = store_url($server, 'backups', 'eu');
    for my $type (sort keys %engine)
    {
        my ($name, $engine) = ("$server->{name}, $type", $engine{$type});
        my $whole = $engine->{holds}->();
        my $job = backup_job($settings, $store, $engine->{url}, engine => $type, type => $type, token => $type);
        my $done = last_event(run_mover($settings, $job));
        is($done->{event}, 'done', "$name: a backup") or diag explain $done;
        my ($exit, $out, $err) = tool('list', $store, '', '--json', "--token=$type");
        my $listed = JSON::PP::decode_json($out);
        is_deeply([ @$listed{qw(type engine problem counts)} ], [ $type, $type, undef, $done->{counts} ], '  listed with what is in it') or diag $out, $err;
        ($exit, $out, $err) = tool('verify', $store, '', '--deep', "--token=$type");
        is($exit, 0, '  verified to the end of its format') or diag $out, $err;
        $engine->{empty}->();
        ($exit, $out, $err) = tool('restore', $store, $engine->{clone}, '--allow-local-targets', '--tool-path=' . MongoTest::tools_directory(), $job->{job_id});
        is($exit, 0, '  restored into an empty database') or diag $err;
        same($engine->{holds}->('clone'), $whole, '  all of it');
        $engine->{change}->();
        ($exit, $out, $err) = tool('restore', $store, $engine->{url}, '--allow-local-targets', '--tool-path=' . MongoTest::tools_directory(), '--rewind',
            "--token=$type", '--latest');
        is($exit, 0, '  and over one that has changed') or diag $err;
        same($engine->{holds}->(), $whole, '  exactly');
    }
}

done_testing();
