<?php
/* usage: login.php HOST PORT [USER PASSWORD]...: as login_python.py, with mysqli. */
mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
[, $host, $port] = $argv;
$accounts = array_chunk(array_slice($argv, 3), 2);
$who = fn($m) => print($m->query("select current_user()")->fetch_row()[0] . "\n");
foreach ($accounts as $i => [$user, $password]) {
    $m = new mysqli($host, $user, $password, "", (int)$port);
    $who($m);
    [$user, $password] = $accounts[($i + 1) % count($accounts)];
    $m->change_user($user, $password, null);
    $who($m);
    $m->close();
}
