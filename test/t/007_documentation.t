# What the pages name is there: links, files, make targets, commands with their options, the options of a store's URL, the fields of events.
use strict;
use warnings;

use CustbackupTest;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

my $root = $ENV{SOURCE_DIR};
my %page = map { (s{^\Q$root/\E}{}r => slurp_file($_)) } "$root/README.md", "$root/CONTRIBUTING.md", glob "$root/docs/*.md";
cmp_ok(scalar keys %page, '>', 10, 'there are pages');

# Each pair is what a page names and where it does; all that $is_there knows nothing of fails the test, by name.
sub all_there
{
    my ($what, $least, $is_there, @named) = @_;
    cmp_ok(scalar @named, '>=', $least, "the pages name $what");
    is_deeply([ map { "$_->[0] in $_->[1]" } grep { !$is_there->($_->[0], $_->[1]) } @named ], [], '... and all are there');
}

sub named_by
{
    my ($pattern) = @_;
    return map { my $name = $_; map { [ $_, $name ] } $page{$name} =~ /$pattern/g } sort keys %page;
}

all_there('links', 20, sub { my ($link, $page) = @_; $link =~ /^https:/ || -e "$root/" . ($page =~ s{[^/]*$}{}r) . ($link =~ s/#.*//r) },
    named_by(qr/\]\(([^)\s]+)\)/));

# By its path, or by its place in one of the rooms.
my @rooms = ('', qw(docs/ test/bench/ test/t/), map { "src/$_/" } qw(extension mover mover/engines mover/stores mover/commands));
all_there('files of the source', 60, sub { my ($file) = @_; grep { -e } map { glob "$root/$_$file" } @rooms },
    named_by(qr/`((?:[\w*-]+\/)*[\w*-]+\.(?:c|h|md|sql|sh|t|1))`/));

my $targets = slurp_file("$root/Makefile");
all_there('make targets', 8, sub { $targets =~ /'make \Q$_[0]\E / }, grep { $_->[0] !~ /^(?:on|and)$/ } named_by(qr/(?:`|^    )make ([a-z][a-z0-9-]*)/m));

# ---- commands, as they are typed ------------------------------------------------------------------

my %help;
sub help_of
{
    my ($command) = @_;
    return $help{$command} if defined $help{$command};
    my ($out, $err) = ('', '');
    IPC::Run::run([ $mover, $command, '--help' ], '>', \$out, '2>', \$err);
    return $help{$command} = $out;
}
my @typed = map { my $name = $_; map { [ $_, $name ] } $page{$name} =~ /^    (?:.*[|\$] )?(?:sudo -u postgres )?custbackup ([a-z][^<|\n]*)/mg } sort keys %page;
all_there('commands', 8, sub { my ($command) = $_[0] =~ /^([a-z-]+)/; help_of($command) ne '' }, @typed);
all_there('their options', 10,
    sub { my ($command, $option) = split / /, $_[0]; $option eq '--settings-fd' || help_of($command) =~ /^ +\Q$option\E\b|\[\Q$option\E\b|\Q$option\E=/m },
    map { my ($line, $name) = @$_; my ($command) = $line =~ /^([a-z-]+)/; map { [ "$command $_", $name ] } $line =~ /(--[a-z-]+)/g } @typed);

# ---- tables that repeat what stands in the source -----------------------------------------------------

my ($table) = slurp_file("$root/src/mover/stores/s3_url.c") =~ /^static const Option options\[\] = \{(.*?)^\};/ms;
my @options = sort $table =~ /\{"([a-z_]+)"/g;
my ($addresses) = $page{'docs/stores.md'} =~ /^## Addresses\n(.*?)^## /ms;
is_deeply([ sort map { /`([a-z_]+)`/g } $addresses =~ /^\| (`[^|]+) \|/mg ], \@options, 'docs/stores.md has the options of a store\'s URL');

# ('done', 'backup', 'key', ...
my ($events) = $page{'docs/protocol.md'} =~ /^## Events\n(.*?)^## /ms;
my %row = $events =~ /^\| `([a-z]+)` \| ([^\n]*)$/mg;
my @fields = slurp_file("$root/sql/parts/70_report.sql") =~ /^\t\t\('([a-z]+)', '[a-z ]+', '([a-z_0-9]+)', /mg;
my @missing;
while (my ($event, $field) = splice @fields, 0, 2) { push @missing, "$event: $field" if ($row{$event} // '') !~ /`\Q$field\E`/ }
is_deeply([ sort keys %row ], [qw(done failed progress started upload)], 'docs/protocol.md has the events');
is_deeply(\@missing, [], '... and their fields');

my ($written) = slurp_file("$root/src/mover/manifest.c") =~ /json_pack\("\{(.*?)\);\n/s;
my ($manifest) = $page{'docs/manifest.md'} =~ /^## The manifest\n(.*?)^## /ms;
is_deeply([ sort map { /`([a-z_0-9]+)`/g } $manifest =~ /^\| (`[^|]+) \|/mg ], [ sort grep { $_ ne 'none' } $written =~ /"([a-z_0-9]+)"/g ],
    'docs/manifest.md has the fields of a manifest');

done_testing();
