# SPDX-License-Identifier: ISC
#
# Bodies that are JSON, nearly JSON, or were JSON once: random, and the same ones for the same seed.
#
#     my $nasty = NastyJson->new(seed => 7, samples => [texts of real events]);
#     my $body = $nasty->body;    # bytes
package NastyJson;
use v5.36;

sub new ($class, %option) {
    return bless { state => $option{seed} & 0xffffffff, samples => $option{samples} }, $class;
}

# A number from 0 to below BELOW. Perl's own generator is not the same everywhere.
sub random ($self, $below) {
    $self->{state} = ($self->{state} * 1664525 + 1013904223) & 0xffffffff;
    return int($self->{state} / 4294967296 * $below);
}

sub one_of ($self, @choices) { return $choices[ $self->random(scalar @choices) ] }
sub rarely ($self, $in) { return $self->random($in) == 0 }
sub digits ($self, $count) { return join '', map { $self->random(10) } 1 .. $count }

sub space ($self) {
    return '' if !$self->rarely(6);
    return $self->one_of("\x0b", "\x0c", "\xc2\xa0", "\xe2\x80\xa8", "\0", "\x1f") if $self->rarely(200);
    return join '', map { $self->one_of(' ', "\t", "\r", "\n") } 0 .. $self->random(4);
}

sub number ($self) {
    return $self->one_of('007', '-01', '1.', '.5', '+1', '1e', '1e+', '-', '0x1f', 'NaN', 'Infinity', '1e401', '-1E+999999999999', '--1', '1.e1', '0' x 3)
      if $self->rarely(120);
    return $self->one_of('0', '-0', '-0.0', '0e0', '-0e-400', '1e400', '1E-400', '9007199254740993', '0.1', '1e23', '5e-324', '1.7976931348623157e308')
      if $self->rarely(5);
    my $digits = $self->rarely(2000) ? 140_000 : $self->one_of(1, 2, 5, 19, 40, 310);
    my $text = $self->one_of('', '', '-') . (1 + $self->random(9)) . $self->digits($digits - 1);
    $text .= '.' . $self->digits(1 + $self->random(40)) if $self->rarely(3);
    $text .= $self->one_of('e', 'E') . $self->one_of('', '+', '-') . $self->one_of('', '0', '000') . $self->random(401) if $self->rarely(4);
    return $text;
}

# A piece of a string, between quotes.
sub piece ($self) {
    return $self->one_of("\\ud800", "\\udc00x", "\\ud800\\ud800", "\\u0000", "\\x", "\\u12", "\\u12g4", "\n", "\x01", "\0", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
        "\xff", "\xe2\x82", "\xf0\x9f\x98", "\x80", "\\", "\"") if $self->rarely(400);
    return $self->one_of(
        "\\\"", "\\\\", "\\/", "\\b", "\\f", "\\n", "\\r", "\\t", "\\u001f", "\\u007f", "\\u00e9", "\\u20AC", "\\ud83d\\ude00", "\\uDBFF\\uDFFF", "\\uffff", "\\ufeff",
        "\x7f", "\xc3\xa9", "\xe2\x82\xac", "\xef\xbb\xbf", "\xef\xbf\xbf", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf", "\xc2\x80", '{', '}', '[', ']', ':', ',', '/', "'", ' ', '#', '$') if $self->rarely(2);
    return chr(97 + $self->random(26)) x (1 + $self->random(4));
}

sub string ($self) {
    my $pieces = $self->rarely(50) ? 200 : $self->random(8);
    return '"' . join('', map { $self->piece } 1 .. $pieces) . '"';
}

# A name: often one that counts, also written with an escape.
sub name ($self) {
    return $self->string if !$self->rarely(3);
    my $name = $self->one_of(qw(module type context payload originCommunityId userId communityId profileId id a b __proto__ constructor 0 1));
    substr($name, $self->random(length $name), 1) =~ s/(.)/sprintf '\\u%04x', ord $1/e if $self->rarely(3);
    return "\"$name\"";
}

sub value ($self, $depth = 0) {
    my $kind = $self->random($depth > 6 ? 4 : 7);
    return $self->string if $kind <= 1;
    return $self->number if $kind == 2;
    return $self->rarely(100) ? $self->one_of(qw(nul True FALSE undefined)) : $self->one_of(qw(true false null)) if $kind == 3;
    return $self->nested if $self->rarely(150);
    return $kind == 4 ? '[' . $self->list(sub { $self->value($depth + 1) }) . ']' : $self->object($depth);
}

sub nested ($self) {
    my $depth = $self->one_of(10, 500, 990, 997, 998, 999, 1000, 1001, 3000);
    return $self->rarely(2) ? '[' x $depth . ']' x $depth : '{"a":' x $depth . '1' . '}' x $depth;
}

# Items with commas and white space; now and then one comma too many.
sub list ($self, $item) {
    my @items = map { $self->space . $item->() . $self->space } 1 .. $self->random(5);
    push @items, '' if $self->rarely(400);
    return join ',', @items;
}

sub object ($self, $depth = 0) {
    return '{' . $self->list(sub { $self->name . $self->space . ':' . $self->space . $self->value($depth + 1) }) . '}';
}

# An event whose members are mostly as they should be, in any order, some twice, with others between.
sub event ($self) {
    my @ids = map { "\"$_\":" . ($self->rarely(20) ? $self->value : $self->rarely(4) ? 'null' : $self->string) }
      grep { $self->random(3) } qw(originCommunityId userId communityId profileId userId);
    push @ids, $self->name . ':' . $self->value if $self->rarely(4);
    my @members = (
        '"module":' . ($self->rarely(30) ? $self->value : $self->rarely(2) ? '"MOIM"' : $self->string),
        '"type":' . ($self->rarely(30) ? $self->value : '"product.created"'),
        '"context":' . ($self->rarely(30) ? $self->value : '{' . join(',', @ids) . '}'),
        '"payload":' . ($self->rarely(30) ? $self->value : $self->object)
    );
    push @members, $self->name . ':' . $self->value if $self->rarely(2);
    push @members, $members[ $self->random(4) ] if $self->rarely(6);
    my @mixed;
    splice @mixed, $self->random(@mixed + 1), 0, $self->space . $_ . $self->space for @members;
    return $self->space . '{' . join(',', @mixed) . '}' . $self->space;
}

# One small change.
sub change ($self, $text) {
    my $at = $self->random(length($text) + 1);
    my $kind = $self->random(6);
    return substr $text, 0, $at if $kind == 0;
    return $text . $text if $kind == 1 && $self->rarely(3);
    substr($text, $at, 1) = '' if $kind == 1 && $at < length $text;
    substr($text, $at, 0) = substr $text, $at, 1 + $self->random(16) if $kind == 2;
    substr($text, $at, 0) = $self->one_of(split(//, "{}[]\",:\\\n\t #-+.eE019u/\0\x7f\xff\xc3\xef"), "\xef\xbb\xbf", '\\u0000', 'null') if $kind == 3;
    substr($text, $at, 1) = chr $self->random(256) if $kind >= 4 && $at < length $text;
    return $text;
}

sub body ($self) {
    my $text = $self->rarely(4) ? $self->one_of(@{ $self->{samples} }) : $self->event;
    if ($self->rarely(4)) {
        $text = $self->change($text) for 0 .. $self->random(3);
    }
    $text = "\xef\xbb\xbf$text" if $self->rarely(30);
    return length $text ? $text : '{';
}

1;
