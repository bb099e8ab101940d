// usage: login.js HOST PORT [USER PASSWORD]...: as login_python.py, with mysql2.
const mysql = require("mysql2/promise");
const [host, port, ...rest] = process.argv.slice(2);
const accounts = [];
for (let i = 0; i < rest.length; i += 2) accounts.push({ user: rest[i], password: rest[i + 1] });

async function who(c) {
  const [rows] = await c.query({ sql: "select current_user()", rowsAsArray: true });
  console.log(rows[0][0]);
}

(async () => {
  for (const [i, account] of accounts.entries()) {
    const c = await mysql.createConnection({ host, port: Number(port), ...account });
    await who(c);
    await c.changeUser(accounts[(i + 1) % accounts.length]);
    await who(c);
    await c.end();
  }
})().catch((e) => {
  console.error(e);
  process.exit(1);
});
