// mysql2 with text and with prepared statements, one connection and a pool.
'use strict';
const assert = require('assert');
const mysql = require('mysql2/promise');

const [host, port, user, password, database] = process.argv.slice(2);
const where = { host, port: Number(port), user, password, database };
if (process.env.VOLVOX_COMPRESS)
  where.compress = true;
if (process.env.VOLVOX_TLS_CA)
  where.ssl = { ca: require('fs').readFileSync(process.env.VOLVOX_TLS_CA) };

async function main() {
  const c = await mysql.createConnection(where);
  const value = async (sql, args) => Object.values((await c.query(sql, args))[0][0])[0];
  assert.equal(await value('select 1 + 1'), 2);

  await c.query('create temporary table t_node (id int primary key auto_increment, name varchar(50), n int)');
  for (let i = 1; i <= 20; i++) {
    const [done] = await c.execute('insert into t_node (name, n) values (?, ?)', [`näme ${i}`, i]);
    assert.equal(done.insertId, i);
  }
  const [rows] = await c.execute('select name from t_node where n = ?', [7]);
  assert.deepEqual(rows.map((r) => r.name), ['näme 7']);

  await c.beginTransaction();
  await c.query('update t_node set n = n + 100');
  assert.equal(await value('select min(n) from t_node'), 101);
  await c.rollback();
  assert.equal(await value('select min(n) from t_node'), 1);
  await c.beginTransaction();
  await c.execute('delete from t_node where n > ?', [10]);
  await c.commit();
  assert.equal(await value('select count(*) from t_node'), 10);

  await assert.rejects(c.query('select * from no_such_table'), { errno: 1146, sqlState: '42S02' });
  assert.equal(await value('select ?', [5]), 5);
  await c.end();

  const pool = mysql.createPool({ ...where, connectionLimit: 5 });
  const answers = await Promise.all([...Array(50).keys()].map((i) => pool.execute('select ? as v', [i])));
  answers.forEach(([r], i) => assert.equal(Number(r[0].v), i));
  await pool.end();
  console.log('ok');
}

main().catch((e) => { console.error(e); process.exit(1); });
