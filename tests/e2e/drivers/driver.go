// go-sql-driver/mysql through database/sql, with parameters on the server and in the text.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"fmt"
	"os"

	"github.com/go-sql-driver/mysql"
)

func check(err error, what string) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "wrong: %s: %v\n", what, err)
		os.Exit(1)
	}
}

func expect(q interface {
	QueryRow(string, ...interface{}) *sql.Row
}, want int, text string, args ...interface{}) {
	var got int
	check(q.QueryRow(text, args...).Scan(&got), text)
	if got != want {
		check(fmt.Errorf("%d instead of %d", got, want), text)
	}
}

func talk(dsn, table string) {
	db, err := sql.Open("mysql", dsn)
	check(err, "open")
	defer db.Close()
	check(db.Ping(), "ping")
	expect(db, 2, "select 1 + 1")

	_, err = db.Exec("create table " + table + " (id int primary key auto_increment, name varchar(50), n int)")
	check(err, "create")
	defer db.Exec("drop table " + table)
	insert, err := db.Prepare("insert into " + table + " (name, n) values (?, ?)")
	check(err, "prepare")
	for i := 1; i <= 20; i++ {
		_, err = insert.Exec(fmt.Sprintf("näme %d", i), i)
		check(err, "insert")
	}

	tx, err := db.Begin()
	check(err, "begin")
	_, err = tx.Exec("update " + table + " set n = n + ?", 100)
	check(err, "update")
	expect(tx, 101, "select min(n) from "+table)
	check(tx.Rollback(), "rollback")

	tx, err = db.Begin()
	check(err, "begin")
	expect(tx, 1, "select min(n) from "+table)
	_, err = tx.Exec("delete from "+table+" where n > ?", 10)
	check(err, "delete")
	expect(tx, 10, "select count(*) from "+table)
	check(tx.Commit(), "commit")

	_, err = db.Exec("select * from no_such_table")
	if e, is := err.(*mysql.MySQLError); !is || e.Number != 1146 {
		check(fmt.Errorf("%v", err), "error 1146 was due")
	}
	expect(db, 5, "select ? + 2", 3)
}

func main() {
	host, port, user, password, name := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5]
	dsn := fmt.Sprintf("%s:%s@tcp(%s:%s)/%s?charset=utf8mb4", user, password, host, port, name)
	if ca := os.Getenv("VOLVOX_TLS_CA"); ca != "" {
		pem, err := os.ReadFile(ca)
		check(err, "the authority's certificate")
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		check(mysql.RegisterTLSConfig("volvox", &tls.Config{RootCAs: roots, ServerName: host}), "TLS")
		dsn += "&tls=volvox"
	}
	talk(dsn, "t_go_server")
	talk(dsn+"&interpolateParams=true", "t_go_text")
	fmt.Println("ok")
}
