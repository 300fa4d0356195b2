# MongoProxy.pm
#
# A FaultProxy that understands MongoDB's wire protocol, to stand in front of a real server.
# A request's line is "COMMAND DATABASE VALUE", as in "insert shop c" or "renameCollection admin shop.c".
# A rule, besides match, nth, drop, lose and delay of FaultProxy's, does one of these:
#
#   error   => 13            the server is not asked; the answer is an error of this code
#   pretend => [ok => 1.0]   nor here; the answer is this document: names and values in turn, by bson()
#   over    => 1             renameCollection with dropTarget, for a server that does not know that
#   hold    => 1             no answer ever: the test looks and kills; "after": when the server has done it
#   flood   => [N, SIZE]     a find's answer: N documents {_id, text} of SIZE bytes each, by getMore
#   more    => [[..], ..]    a listing's answer has these documents too, each as for bson()
#   serve   => [HEX, ..]     a find's answer: these documents
#   swallow => FILE          an insert's documents are not given to the server; their count and their
#                            checksum in any order are added up in FILE
package MongoProxy;

use strict;
use warnings;

use parent 'FaultProxy';

use Digest::MD5 ();
use Fcntl qw(:flock SEEK_SET);
use IO::File;
use IO::Socket::INET;
use JSON::PP ();
use Time::HiRes qw(sleep time);

use constant { OP_REPLY => 1, OP_QUERY => 2004, OP_MSG => 2013 };
use constant BATCH_BYTES => 16 * 1024 * 1024;

# A server that is behind a proxy: to be given to mongodb_url().
sub start_before
{
    my ($class, $server, $directory, @rules) = @_;
    my $self = $class->start("127.0.0.1:$server->{port}", $directory, @rules);
    @{$self}{qw(user password)} = @{$server}{qw(user password)};
    return $self;
}

# What a member of a replica set says of itself; "primary" or "secondary".
sub member_of
{
    my ($set, $role, @hosts) = @_;
    my $primary = $role eq 'primary' ? 1 : 0;
    return [
        isWritablePrimary => { bool => $primary }, ismaster => { bool => $primary }, secondary => { bool => 1 - $primary },
        helloOk => { bool => 1 }, setName => $set, setVersion => 1, hosts => { array => \@hosts },
        maxBsonObjectSize => 16777216, maxMessageSizeBytes => 48000000, maxWriteBatchSize => 100000,
        localTime => { date => int(time * 1000) }, minWireVersion => 0, maxWireVersion => 17, readOnly => { bool => 0 },
        saslSupportedMechs => { array => ['SCRAM-SHA-256'] }, ok => { double => 1 }
    ];
}

# ---- BSON --------------------------------------------------------------------------------------------

sub bson
{
    my (@pairs) = @_;
    my $text = '';
    while (my ($name, $value) = splice @pairs, 0, 2)
    {
        my ($type, $bytes) = element($value);
        $text .= chr($type) . "$name\0$bytes";
    }
    return pack('V', length($text) + 5) . "$text\0";
}

sub element
{
    my ($value) = @_;
    return (0x03, bson(@$value)) if ref $value eq 'ARRAY';
    return $value =~ /^-?\d+\z/ ? (0x10, pack 'l<', $value) : (0x02, pack('V', length($value) + 1) . "$value\0") unless ref $value;
    my ($kind, $content) = %$value;
    return (0x08, chr $content) if $kind eq 'bool';
    return (0x01, pack 'd<', $content) if $kind eq 'double';
    return (0x09, pack 'q<', $content) if $kind eq 'date';
    return (0x12, pack 'q<', $content) if $kind eq 'long';
    return (0x04, $content) if $kind eq 'raw_array';
    my $number = 0;
    return (0x04, bson(map { ($number++ => $_) } @$content)) if $kind eq 'array';
    die "bson: $kind";
}

# The first element's name, its value where that is text, and the database; "bypassing" where validators are not to be asked.
sub summary
{
    my ($document) = @_;
    my ($name) = substr($document, 5, 200) =~ /^([^\0]*)\0/;
    my $value = '';
    if (ord(substr $document, 4, 1) == 2)
    {
        my $at = 5 + length($name) + 1;
        $value = substr $document, $at + 4, unpack('V', substr $document, $at, 4) - 1;
    }
    my $database = '';
    my $found = rindex $document, "\x02\$db\0";
    $database = substr $document, $found + 9, unpack('V', substr $document, $found + 5, 4) - 1 if $found >= 0;
    my $line = "$name $database $value";
    $line =~ s/[^\x20-\x7e]/?/g;
    $line .= ' bypassing' if index($document, "\x08bypassDocumentValidation\0\x01") >= 0;
    return $line;
}

# ---- the wire ----------------------------------------------------------------------------------------

sub read_exactly
{
    my ($socket, $length) = @_;
    my $bytes = '';
    while (length $bytes < $length)
    {
        sysread($socket, $bytes, $length - length $bytes, length $bytes) or return;
    }
    return $bytes;
}

# {bytes, id, code, document, rest}: rest is what follows the document: an insert's documents.
sub read_message
{
    my ($socket) = @_;
    my $head = read_exactly($socket, 16) // return;
    my ($length, $id, undef, $code) = unpack 'V4', $head;
    my $body = read_exactly($socket, $length - 16) // return;
    my $at = $code == OP_MSG ? 5 : $code == OP_QUERY ? index($body, "\0", 4) + 9 : return { bytes => $head . $body, code => $code };
    my $size = unpack 'V', substr $body, $at, 4;
    return { bytes => $head . $body, id => $id, code => $code, document => substr($body, $at, $size), rest => substr($body, $at + $size) };
}

sub reply
{
    my ($client, $request, $document) = @_;
    my $body = $request->{code} == OP_MSG ? pack('VC', 0, 0) . $document : pack('VQ<VV', 8, 0, 0, 1) . $document;
    my $code = $request->{code} == OP_MSG ? OP_MSG : OP_REPLY;
    return FaultProxy::write_all($client, pack('V4', length($body) + 16, 1, $request->{id}, $code) . $body);
}

# A command of our own on the customer's connection, and its answer.
sub ask
{
    my ($server, @command) = @_;
    my $body = pack('VC', 0, 0) . bson(@command);
    FaultProxy::write_all($server, pack('V4', length($body) + 16, 1, 0, OP_MSG) . $body) or return;
    return read_message($server);
}

# An answer with more documents in its first batch.
sub with_more
{
    my ($answer, @documents) = @_;
    my $bytes = $answer->{document};
    my $cursor = index($bytes, "\x03cursor\0") + 8;
    my $batch = index($bytes, "\x04firstBatch\0") + 12;
    my $length = unpack 'V', substr $bytes, $batch, 4;
    my $number = 1000;
    my $added = join '', map { "\x03" . $number++ . "\0" . bson(@$_) } @documents;
    substr($bytes, $batch + $length - 1, 0) = $added;
    substr($bytes, $_, 4) = pack 'V', unpack('V', substr $bytes, $_, 4) + length $added for 0, $cursor, $batch;
    return $bytes;
}

# MongoDB's own way: the target goes only if the source is there.
sub rename_over
{
    my ($client, $server, $request, $from) = @_;
    my ($to) = $request->{document} =~ /\x02to\0....([^\0]*)/s;
    my ($database, $name) = split /\./, $to, 2;
    my ($source) = $from =~ /\.(.*)/s;
    my $there = ask($server, listCollections => 1, filter => [ name => $source ], nameOnly => { bool => 1 }, '$db' => $database) or return;
    return reply($client, $request, bson(ok => { double => 0 }, errmsg => 'no such collection', code => 26))
      if index($there->{document}, "\x02name\0") < 0;
    ask($server, drop => $name, '$db' => $database) or return;
    my $answer = ask($server, renameCollection => $from, to => $to, '$db' => 'admin') or return;
    return reply($client, $request, $answer->{document});
}

# ---- many documents ----------------------------------------------------------------------------------

# Documents $from to $to - 1 of a flood, as the elements of an array; what they are does not depend on how they are asked for.
sub flood_documents
{
    my ($from, $to, $size) = @_;
    my $filler = 'customer data, ' x ($size / 15 + 1);
    return map { [ _id => $_, text => substr "$_ $filler", 0, $size ] } $from .. $to - 1;
}

# Their count, and their checksum in any order, as `swallow` writes it.
sub flood_summary
{
    my ($count, $size) = @_;
    my $sum = 0;
    $sum = add($sum, bson(@$_)) for map { flood_documents($_, $_ + 1, $size) } 0 .. $count - 1;
    return "$count $sum";
}

# The same of documents in hex.
sub summary_of
{
    my (@documents) = @_;
    my $sum = 0;
    $sum = add($sum, pack 'H*', $_) for @documents;
    return @documents . " $sum";
}

sub add
{
    my ($sum, $document) = @_;
    return $sum ^ unpack 'Q<', Digest::MD5::md5($document);
}

sub pour
{
    my ($self, $client, $request, $is_first) = @_;
    my ($count, $size) = @{ $self->{flood}{flood} };
    my $from = $self->{flood}{at} // 0;
    my $to = $from + ($is_first ? 1 : int(BATCH_BYTES / ($size + 100)) || 1);
    $to = $count if $to > $count;
    my $batch = { array => [ flood_documents($from, $to, $size) ] };
    $self->{flood}{at} = $to;
    return reply($client, $request,
        bson(cursor => [ ($is_first ? 'firstBatch' : 'nextBatch') => $batch, id => { long => $to < $count ? 4711 : 0 }, ns => $self->{flood}{ns} ],
            ok => { double => 1 }));
}

sub swallow
{
    my ($file, $rest) = @_;
    my ($count, $sum) = (0, 0);
    # One section of kind 1: its kind, its size, its name.
    my $at = 5 + length("documents\0");
    while ($at < length $rest)
    {
        my $size = unpack 'V', substr $rest, $at, 4;
        # A checksum of the message may follow.
        last if $size < 5 || $at + $size > length $rest;
        $sum = add($sum, substr $rest, $at, $size);
        $count++;
        $at += $size;
    }
    open my $fh, '+>>', $file or die $!;
    flock $fh, LOCK_EX;
    seek $fh, 0, SEEK_SET;
    my ($before, $sum_before) = split ' ', <$fh> // '0 0';
    truncate $fh, 0;
    print $fh $before + $count, ' ', $sum_before ^ $sum;
    close $fh;
    return $count;
}

# ---- in a connection's own process ---------------------------------------------------------------------

# As MongoDB words it.
sub refuse
{
    my ($client, $request, $code, $line) = @_;
    my (undef, $database) = split / /, $line;
    my ($name, $message) = $code == 13 ? ('Unauthorized', "not authorized on $database to execute command { $line }") : ('Refused', "refused: $line");
    return reply($client, $request, bson(ok => { double => 0 }, errmsg => $message, code => $code, codeName => $name));
}

# Whether the connection goes on.
sub obey
{
    my ($self, $client, $request, $rule, $line) = @_;
    return refuse($client, $request, $rule->{error}, $line) if $rule->{error};
    return reply($client, $request, bson(@{ $rule->{pretend} })) if $rule->{pretend};
    if ($rule->{hold})
    {
        sleep 600;
        return;
    }
    if ($rule->{serve})
    {
        my ($number, $batch) = (0, '');
        $batch .= "\x03" . $number++ . "\0" . pack 'H*', $_ for @{ $rule->{serve} };
        $batch = pack('V', length($batch) + 5) . "$batch\0";
        return reply($client, $request, bson(cursor => [ firstBatch => { raw_array => $batch }, id => { long => 0 }, ns => 'shop.any' ], ok => { double => 1 }));
    }
    if ($rule->{flood})
    {
        my (undef, $database, $name) = split / /, $line, 3;
        $self->{flood} = { %$rule, ns => "$database.$name" };
        return $self->pour($client, $request, 1);
    }
    return reply($client, $request, bson(n => swallow($rule->{swallow}, $request->{rest}), ok => { double => 1 }));
}

sub serve
{
    my ($self, $client) = @_;
    my $server = IO::Socket::INET->new(PeerAddr => $self->{upstream}) or return;
    while (my $request = read_message($client))
    {
        my $line = $request->{document} ? summary($request->{document}) : 'other';
        if ($self->{flood} && $line =~ /^getMore/)
        {
            $self->pour($client, $request, 0) or return;
            next;
        }
        my $rule = $self->choose($line);
        return if $rule->{drop};
        sleep $rule->{delay} if $rule->{delay};
        my $holds_after = ($rule->{hold} // '') eq 'after';
        if ($rule->{over})
        {
            my $hearer = $holds_after ? IO::File->new('/dev/null', 'w') : $client;
            rename_over($hearer, $server, $request, (split / /, $line, 3)[2]) or return;
            sleep 600 if $holds_after;
            next;
        }
        if (!$holds_after && grep { $rule->{$_} } qw(error pretend hold serve flood swallow))
        {
            $self->obey($client, $request, $rule, $line) or return;
            next;
        }
        FaultProxy::write_all($server, $request->{bytes}) or return;
        my $answer = read_message($server) or return;
        sleep 600 if $holds_after;
        return if $rule->{lose};
        if ($rule->{more})
        {
            reply($client, $request, with_more($answer, @{ $rule->{more} })) or return;
            next;
        }
        FaultProxy::write_all($client, $answer->{bytes}) or return;
    }
    return;
}

1;
