# DBD::MariaDB with prepared statements on the client and on the server.
use strict;
use warnings;
use DBI;

my ($host, $port, $user, $password, $db) = @ARGV;
my $compression = $ENV{VOLVOX_COMPRESS} ? ";mariadb_compression=1" : "";

my %tls = $ENV{VOLVOX_TLS_CA} ? (mariadb_ssl => 1, mariadb_ssl_ca_file => $ENV{VOLVOX_TLS_CA},
                                 mariadb_ssl_verify_server_cert => 1) : ();

sub check { my ($claim, $what) = @_; die "wrong: $what\n" unless $claim }

for my $server_side (0, 1) {
    my $dbh = DBI->connect("DBI:MariaDB:host=$host;port=$port;database=$db$compression", $user, $password,
        { RaiseError => 1, PrintError => 0, AutoCommit => 1, mariadb_server_prepare => $server_side, %tls });
    check($dbh->selectrow_array("select 1 + 1") == 2, "a query");

    $dbh->do("create temporary table t_perl (id int primary key auto_increment, name varchar(50), n int)");
    my $insert = $dbh->prepare("insert into t_perl (name, n) values (?, ?)");
    $insert->execute("name $_", $_) for 1 .. 20;
    my $select = $dbh->prepare("select name from t_perl where n = ?");
    $select->execute(7);
    check($select->fetchall_arrayref->[0][0] eq "name 7", "a prepared select");

    $dbh->begin_work;
    $dbh->do("update t_perl set n = n + 100");
    check($dbh->selectrow_array("select min(n) from t_perl") == 101, "our own write");
    $dbh->rollback;
    check($dbh->selectrow_array("select min(n) from t_perl") == 1, "the rollback");
    $dbh->begin_work;
    $dbh->do("delete from t_perl where n > ?", undef, 10);
    $dbh->commit;
    check($dbh->selectrow_array("select count(*) from t_perl") == 10, "the commit");

    check(!eval { $dbh->do("select * from no_such_table"); 1 }, "an error was due");
    check($dbh->err == 1146, "the error's code");
    check($dbh->selectrow_array("select 5") == 5, "a query after an error");
    check($dbh->ping, "ping");
    $dbh->disconnect;
}
print "ok\n";
