# Jobs that are none: each ends with one `failed` event that names what is wrong, and touches nothing.
use strict;
use warnings;

use CustbackupTest;
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Test::More;

my $json = JSON::PP->new->canonical;
my ($settings, $store, $directory) = mover_settings();
my $url = 'postgresql://app:s3cret@localhost:1/shop';

sub refused
{
    my ($what, $pattern, $job, $reason) = @_;
    my $result = run_mover($settings, $job);
    my $event  = last_event($result);
    is(scalar @{ $result->{events} }, 1, "$what: one event");
    is($event->{event} // '', 'failed', "$what: it is failed");
    is($event->{reason} // '', $reason // 'config', "$what: its reason");
    like($event->{detail} // '', $pattern, "$what: its detail");
    is("$result->{exit}/$result->{signal}", '1/0', "$what: exit status 1");
    return $event;
}

# A job with one field changed, by a path of names and indexes; undef removes it.
sub with
{
    my ($job, $path, $value) = @_;
    my $copy = $json->decode($json->encode($job));
    my @path = split /\./, $path;
    my $name = pop @path;
    my $object = $copy;
    $object = ref $object eq 'ARRAY' ? $object->[$_] : $object->{$_} for @path;
    if (!defined $value) { delete $object->{$name} }
    else { $object->{$name} = $value }
    return $copy;
}

my $backup = backup_job($settings, $store, $url);
my $done = { key => $backup->{object}{key}, version => undef, sha256 => '0' x 64, raw_bytes => 1, stored_bytes => 1 };
my $restore = restore_job($settings, $store, $url, $backup, $done);

# ---- text that is no job

refused('nothing', qr/no job came on standard input/, '');
refused('rubbish', qr/not JSON: line 1, column \d+/, 'rubbish');
refused('half a job', qr/not JSON/, substr($json->encode($backup), 0, 200));
refused('two jobs', qr/not JSON/, $json->encode($backup) x 2);
refused('an array', qr/must be one JSON object/, '[]');
refused('a text', qr/must be one JSON object|not JSON/, '"job"');
refused('an empty object', qr/"version" must be 1/, '{}');
refused('a field twice', qr/not JSON.*duplicate/, $json->encode($backup) =~ s/^\{/{"version":1,/r);
refused('a NUL byte', qr/not JSON/, $json->encode($backup) . "\0");
refused('an escaped NUL', qr/not JSON/, $json->encode($backup) =~ s/"pro"/"p\\u0000ro"/r);
refused('invalid UTF-8', qr/not JSON/, $json->encode($backup) =~ s/"pro"/"p\xC3\x28"/r);
refused('deep nesting', qr/not JSON/, '[' x 100_000);
refused('300 KB', qr/longer than 262144 bytes/, $json->encode($backup) . ' ' x 300_000);
refused('300 KB in a field', qr/longer than 262144 bytes/, with($backup, 'resource.tier', 'x' x 300_000));
refused('10 MB', qr/longer than 262144 bytes/, ' ' x 10_000_000);

# ---- fields

my @both = (
    [ 'version', 2 ], [ 'version', '1' ], [ 'version', undef ], [ 'kind', 'erase' ], [ 'kind', undef ],
    [ 'job_id', 'x' ], [ 'job_id', 7 ], [ 'attempt_id', undef ], [ 'attempt', 0 ], [ 'attempt', '1' ], [ 'engine', undef ],
    [ 'resource', [] ], [ 'resource.id', '../../etc' ], [ 'resource.token', 'a/b' ], [ 'resource.token', '..' ],
    [ 'resource.token', "a\nb" ], [ 'resource.token', '' ], [ 'resource.token', 'x' x 201 ], [ 'resource.team_id', 'team' ],
    [ 'resource.tier', undef ], [ 'resource.connection_url', undef ], [ 'resource.connection_url', {} ],
    [ 'store', undef ], [ 'store.url', "file:///a\nb" ], [ 'store.name', '' ], [ 'object', 'key' ],
    [ 'object.key', '../../../etc/cron.d/x' ], [ 'object.key', 'other-token/' . new_uuid() . '.dump.gz' ],
    [ 'object.key', "$backup->{resource}{token}/x.dump.gz" ]);
for my $case (@both)
{
    my ($path, $value) = @$case;
    my $shown = defined $value ? $json->allow_nonref->encode($value) : 'removed';
    for my $job ($backup, $restore)
    {
        refused("$job->{kind}: $path " . substr($shown, 0, 40), qr/field "\Q$path\E"/, with($job, $path, $value));
    }
}
for my $path (qw(surprise resource.password store.path object.url))
{
    refused("$_->{kind}: unknown field $path", qr/field "\Q$path\E" is unknown: are extension and mover of the same version/,
        with($_, $path, 1)) for $backup, $restore;
}
refused('a backup with a mode', qr/"mode" is unknown/, with($backup, 'mode', 'clone'));
refused('an unknown field of an earlier attempt', qr/"previous\.x" is unknown/,
    with($backup, 'previous', [ { attempt_id => new_uuid(), key => $backup->{object}{key}, upload_id => undef, x => 1 } ]));
refused("an earlier attempt of somebody else's", qr/"previous\.key" is another backup's/,
    with($backup, 'previous', [ { attempt_id => new_uuid(), key => 'other/' . new_uuid() . '.dump.gz', upload_id => undef } ]));
refused('a sha256 that is too short', qr/"object\.sha256" must be 64 hex digits/, with($restore, 'object.sha256', 'abc'));
refused('a negative size', qr/"object\.raw_bytes" must be a whole number/, with($restore, 'object.raw_bytes', -1));
refused('a size that is no number', qr/"object\.stored_bytes"/, with($restore, 'object.stored_bytes', '1'));
refused('a mode that is none', qr/"mode" must be rewind or clone/, with($restore, 'mode', 'merge'));
refused("a rewind to another resource's backup", qr/only a clone may do that/, with($restore, 'object.resource_id', new_uuid()));
refused('an engine that is not built in', qr/no engine "oracle"/, with($backup, 'engine', 'oracle'));

# ---- settings

for my $case (
    [ 'no settings', '', qr/settings are not one JSON object/ ],
    [ 'settings that are no JSON', '{', qr/settings are not one JSON object/ ],
    [ 'an unknown setting', '{"key_flie": "x"}', qr/unknown setting "key_flie"/ ],
    [ 'a setting of a wrong type', '{"allow_local_targets": "on"}', qr/must be true or false/ ],
    [ 'a parent that is not ours', '{"parent_pid": 1}', qr/process 1, .* is not its parent/ ])
{
    my ($what, $text, $pattern) = @$case;
    my $result = run_mover(start_mover($text, $backup));
    my $event = last_event($result);
    like("$event->{reason}: $event->{detail}", $pattern, $what);
    is("$result->{exit}/" . scalar(@{ $result->{events} }), '1/1', "$what: one event, exit status 1");
}

is_deeply([ glob "$directory/store/*" ], [], 'nothing was stored');
is_deeply([ glob "$directory/spool/*" ], [], 'and nothing spooled');

done_testing();
