<?php
/* PDO with native and with emulated prepared statements. */
[, $host, $port, $user, $password, $db] = $argv;

function check($claim, $what)
{
    if (!$claim) {
        fwrite(STDERR, "wrong: $what\n");
        exit(1);
    }
}

$ca = getenv("VOLVOX_TLS_CA");
$tls = $ca ? [PDO::MYSQL_ATTR_SSL_CA => $ca, PDO::MYSQL_ATTR_SSL_VERIFY_SERVER_CERT => true] : [];
foreach ([false, true] as $emulated) {
    $pdo = new PDO("mysql:host=$host;port=$port;dbname=$db;charset=utf8mb4", $user, $password, [
        PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
        PDO::ATTR_EMULATE_PREPARES => $emulated,
        PDO::MYSQL_ATTR_COMPRESS => getenv("VOLVOX_COMPRESS") !== false,
    ] + $tls);
    check($pdo->query("select 1 + 1")->fetchColumn() == 2, "a query");

    $pdo->exec("create temporary table t_php (id int primary key auto_increment, name varchar(50), n int)");
    $insert = $pdo->prepare("insert into t_php (name, n) values (?, ?)");
    for ($i = 1; $i <= 20; $i++) {
        $insert->execute(["näme $i", $i]);
        check($pdo->lastInsertId() == $i, "the id of row $i");
    }
    $select = $pdo->prepare("select name from t_php where n = :n");
    $select->execute(["n" => 7]);
    check($select->fetchAll(PDO::FETCH_COLUMN) === ["näme 7"], "a prepared select");

    $pdo->beginTransaction();
    $pdo->exec("update t_php set n = n + 100");
    check($pdo->query("select min(n) from t_php")->fetchColumn() == 101, "our own write");
    $pdo->rollBack();
    check($pdo->query("select min(n) from t_php")->fetchColumn() == 1, "the rollback");
    $pdo->beginTransaction();
    $pdo->exec("delete from t_php where n > 10");
    $pdo->commit();
    check($pdo->query("select count(*) from t_php")->fetchColumn() == 10, "the commit");

    try {
        $pdo->query("select * from no_such_table");
        check(false, "an error was due");
    } catch (PDOException $e) {
        check($e->getCode() === "42S02", "the error's state");
    }
    check($pdo->query("select 5")->fetchColumn() == 5, "a query after an error");
}
echo "ok\n";
