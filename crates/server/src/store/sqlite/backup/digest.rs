//! A digest over what a database holds, not over how its pages lie.

use ring::digest::{Context, SHA256};
use rusqlite::{Connection, types::ValueRef};

/// SHA-256 over the schema and over every value of every table, in the order of names and keys; without itself.
pub(super) fn of(conn: &Connection) -> rusqlite::Result<[u8; 32]> {
    let mut context = Context::new(&SHA256);
    let versions = "SELECT user_version, application_id FROM pragma_user_version, pragma_application_id";
    add(&mut context, conn, versions)?;
    add(&mut context, conn, "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name")?;
    for table in tables(conn)? {
        let name = table.replace('"', "\"\"");
        let columns = conn.prepare(&format!("SELECT * FROM \"{name}\""))?.column_count();
        // Keys stand first, so this is the order in which the rows lie.
        let order: Vec<String> = (1..=columns).map(|column| column.to_string()).collect();
        let but_itself = if table == "backup" { "WHERE name <> 'digest'" } else { "" };
        add(
            &mut context,
            conn,
            &format!("SELECT * FROM \"{name}\" {but_itself} ORDER BY {}", order.join(", ")),
        )?;
    }
    let digest = context.finish();
    Ok(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
}

fn tables(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = conn.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// Every value with its type and length, so that none can be taken for another; each row with its number of values.
fn add(context: &mut Context, conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    let mut statement = conn.prepare(sql)?;
    let columns = statement.column_count();
    context.update(&(columns as u64).to_le_bytes());
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        for column in 0..columns {
            match row.get_ref(column)? {
                ValueRef::Null => context.update(b"0"),
                ValueRef::Integer(number) => field(context, b'1', &number.to_le_bytes()),
                ValueRef::Real(number) => field(context, b'2', &number.to_le_bytes()),
                ValueRef::Text(text) => field(context, b'3', text),
                ValueRef::Blob(blob) => field(context, b'4', blob),
            }
        }
    }
    context.update(b"end");
    Ok(())
}

fn field(context: &mut Context, kind: u8, bytes: &[u8]) {
    context.update(&[kind]);
    context.update(&(bytes.len() as u64).to_le_bytes());
    context.update(bytes);
}
