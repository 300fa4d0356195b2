# What make install brings works where it lies and by another name, and make uninstall takes all of it; an engine whose module lacks is no crash.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use CustbackupTest;
use File::Copy ();
use IPC::Run ();
use PostgreSQL::Test::Utils qw(append_to_file);
use Test::More;

my ($settings, $store, $directory) = mover_settings();
# A job that gets as far as its engine, which refuses the URL.
my $job = backup_job($settings, $store, 'mongodb://u:p@%2Fsocket/shop', engine => 'mongodb', type => 'mongodb');

sub outcome_of
{
    local $CustbackupTest::mover = $_[0];
    my $result = run_mover($settings, $_[1] // $job);
    my $last = last_event($result);
    return "$result->{exit}/$result->{signal} $last->{reason}: $last->{detail}";
}

sub copy_of
{
    my ($file, $name) = @_;
    File::Copy::copy($file, "$directory/$name") or die "$file: $!";
    chmod 0755, "$directory/$name";
    return "$directory/$name";
}

sub files_below
{
    my ($root) = @_;
    my $found = '';
    IPC::Run::run([ 'find', $root, '(', '-type', 'f', '-o', '-type', 'l', ')', '-name', '*custbackup*' ], '>', \$found) or die 'find';
    return split /\n/, $found;
}

my @installed = files_below($ENV{INSTALLED_ROOT});
my ($executable) = grep { m{/bin/custbackup$} } @installed;
my ($module) = grep { m{/custbackup_mongodb\.so$} } @installed;
is(scalar(grep { $_ } $executable, $module), 2, 'make install brings the mover and the module of MongoDB') or BAIL_OUT(explain \@installed);
unlike($module, qr{/bin/}, 'which lies where Postgres keeps modules');
my $heard = qr{^1/0 bad_url: .*Unix socket};
like(outcome_of($executable), $heard, 'it is found from there');
symlink $executable, "$directory/by-another-name" or die $!;
like(outcome_of("$directory/by-another-name"), $heard, 'and by a symbolic link to the mover');

mkdir "$directory/$_" or die $! for qw(alone beside broken);
my $alone = copy_of($executable, 'alone/custbackup');
my $sentence = qr{^1/0 config: could not load the engine "mongodb": .*custbackup_mongodb\.so.*; install custbackup_mongodb\.so beside custbackup};
like(outcome_of($alone), $sentence, 'a mover alone says what it lacks');
like(outcome_of($alone, backup_job($settings, $store, 'postgresql://app:p@127.0.0.1:1/shop')), qr{^1/0 unreachable: }, '... but other engines are there');
is(system("$alone --version >$directory/version 2>&1"), 0, '... and --version');
copy_of($module, 'beside/custbackup_mongodb.so');
like(outcome_of(copy_of($executable, 'beside/custbackup')), $heard, 'with the module beside it, it has all engines');
append_to_file("$directory/broken/custbackup_mongodb.so", 'no module');
like(outcome_of(copy_of($executable, 'broken/custbackup')), $sentence, 'a module that is none is no crash');

# One that is cut off, which would be a SIGBUS; one that may not be read.
my $length = -s $module;
my $damaged = copy_of($module, 'broken/custbackup_mongodb.so');
for my $left ($length - 1, int($length / 2), 5000, 64, 10, 0)
{
    truncate $damaged, $left or die $!;
    like(outcome_of("$directory/broken/custbackup"), $sentence, "nor is one of which $left bytes are left");
    File::Copy::copy($module, $damaged) or die $!;
}
like(outcome_of("$directory/broken/custbackup"), $heard, 'the whole one is loaded');
chmod 0, $damaged;
like(outcome_of("$directory/broken/custbackup"), qr{$directory/broken/custbackup_mongodb\.so.*Permission denied}, 'one that may not be read is named');

# From a copy: other tests want theirs.
system('cp', '-a', $ENV{INSTALLED_ROOT}, "$directory/root") == 0 or die 'cp';
{
    # By the pg_config that it was installed by, not the copy's own.
    local $ENV{PATH} = join ':', grep { index($_, $ENV{INSTALLED_ROOT}) != 0 } split /:/, $ENV{PATH};
    my $said = '';
    IPC::Run::run([ 'make', '-s', '-C', $ENV{SOURCE_DIR}, "DESTDIR=$directory/root", 'uninstall' ], '>&', \$said) or diag $said;
}
is_deeply([ files_below("$directory/root") ], [], 'make uninstall leaves none of our files');

# A machine without a library that the mover needs.
append_to_file("$directory/pkg-config", qq(#!/bin/sh\nfor word; do [ "\$word" != jansson ] || exit 1; done\nexec pkg-config "\$@"\n));
chmod 0755, "$directory/pkg-config";
sub make_said
{
    my $said = '';
    local $ENV{PATH} = join ':', grep { index($_, $ENV{INSTALLED_ROOT}) != 0 } split /:/, $ENV{PATH};
    IPC::Run::run([ 'make', '-n', '-C', $ENV{SOURCE_DIR}, @_ ], '>&', \$said);
    return $said;
}
like(make_said('mover', "PKG_CONFIG=$directory/pkg-config"), qr/for want of jansson: .*install-missing installs/, 'a build without a library says which');
like(make_said('mover', "PKG_CONFIG=$directory/none"), qr{for want of $directory/none: .*install-missing installs}, '... without pkg-config too');
like(make_said('clean', "PKG_CONFIG=$directory/none"), qr/^rm /m, '... and can be cleaned up after all the same');

done_testing();
