#!/usr/bin/perl
# make_prefix_database.pl FILE TERRITORY [NETWORK...]: a small MaxMind DB: the networks (192.0.2.0/24 and 2001:db8::/32) are in TERRITORY and
# AS64500, 198.51.100.0/24 has a record without either.
use strict;
use warnings;
no warnings 'deprecated';  # by its authors' wish, not for any fault
use MaxMind::DB::Writer::Tree;

my ($file, $territory, @networks) = @ARGV;
@networks = ('192.0.2.0/24', '2001:db8::/32') unless @networks;
my %types = (country => 'map', iso_code => 'utf8_string', autonomous_system_number => 'uint32', note => 'utf8_string');
my $tree = MaxMind::DB::Writer::Tree->new(
    ip_version => 6, record_size => 24, database_type => 'Test-Country', languages => ['en'],
    description => { en => 'made by a test' }, map_key_type_callback => sub { $types{ $_[0] } },
    remove_reserved_networks => 0,
);
$tree->insert_network($_, { country => { iso_code => $territory }, autonomous_system_number => 64500 })
  for @networks;
$tree->insert_network('198.51.100.0/24', { note => 'nothing known' });
open my $out, '>:raw', $file or die "$file: $!";
$tree->write_tree($out);
close $out or die "$file: $!";
