// usage: login HOST PORT [USER PASSWORD]...: who one is after each login.
package main

import (
	"database/sql"
	"fmt"
	"os"

	_ "github.com/go-sql-driver/mysql"
)

func main() {
	rest := os.Args[3:]
	for i := 0; i+1 < len(rest); i += 2 {
		db, err := sql.Open("mysql", fmt.Sprintf("%s:%s@tcp(%s:%s)/", rest[i], rest[i+1], os.Args[1], os.Args[2]))
		var name string
		if err == nil {
			err = db.QueryRow("select current_user()").Scan(&name)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, rest[i], err)
			os.Exit(1)
		}
		fmt.Println(name)
		db.Close()
	}
}
