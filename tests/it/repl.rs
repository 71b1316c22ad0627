// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The prompt, driven as a person drives it: keys in, a screen out.

#![cfg(target_os = "linux")]
#![expect(clippy::expect_used, reason = "a test panics")]

mod terminal;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use comptoir::demo::{self, Format, Options};
use terminal::Terminal;

/// The demo shop, written once for all tests.
fn shop() -> &'static Path {
    static SHOP: OnceLock<PathBuf> = OnceLock::new();
    SHOP.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("prompt-shop");
        let options = Options { dir: dir.clone(), orders: 500, seed: 7, format: Format::Parquet };
        demo::generate(&options).expect("the demo shop is written");
        dir
    })
}

fn home() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn data() -> String {
    format!("--data '{}'", shop().display())
}

const WIDE: (u16, u16) = (60, 120);

#[test]
fn a_statement_may_have_many_lines_and_its_result_has_a_name() {
    let home = home();
    let terminal = Terminal::start(home.path(), WIDE, "", &[]);
    terminal.keys("SELECT 'a;b' AS text,\r");
    terminal.until_shown("\n       ->");
    terminal.keys("  40 AS n -- no end;\r");
    terminal.keys("UNION ALL SELECT 'c', 2;\r");
    let screen = terminal.until_shown("2 rows in");
    assert!(screen.contains("│ a;b  ┆ 40 │") && screen.contains("│ c    ┆  2 │"), "{screen}");
    let screen = terminal.run("SELECT sum(n) AS answer FROM _;");
    assert!(screen.contains("42") && screen.contains("answer"), "{screen}");
    // `_` is now that result.
    let screen = terminal.run("SELECT answer + 1 AS more FROM _;");
    assert!(screen.contains("43"), "{screen}");
    // A table needs one column a name; a result does not.
    terminal.run("SELECT a.value, b.value FROM generate_series(7, 7) a, generate_series(8, 8) b;");
    let screen = terminal.run("SELECT value || '-' || value_2 AS both FROM _;");
    assert!(screen.contains("7-8"), "{screen}");
    // A statement that fails leaves it as it was.
    terminal.run("SELECT nope;");
    let screen = terminal.run("SELECT both FROM _;");
    assert!(screen.contains("7-8"), "{screen}");
    terminal.keys("\x04");
    assert_eq!(terminal.ends(), Some(0));
}

#[test]
fn tab_completes_by_position() {
    let home = home();
    std::fs::write(home.path().join("exports.csv"), "a\n1\n").expect("writes");
    let terminal = Terminal::start(home.path(), WIDE, &data(), &[]);
    for (typed, becomes) in [
        ("SELECT * FROM rfm_score(orders, metho\t", "rfm_score(orders, method => "),
        ("SELECT * FROM order_l\t", "FROM order_lines"),
        ("SELECT customer_i\t FROM orders", "SELECT customer_id FROM orders"),
        ("SELECT * FROM 'expo\t", "FROM 'exports.csv'"),
        ("SELECT * FROM 'expo\t' e", "FROM 'exports.csv' e"),
        ("SELECT regr_slo\t", "SELECT regr_slope("),
        ("\\des\t", "\\describe"),
    ] {
        // The cursor goes back to where Tab is pressed.
        let (before, after) = typed.split_once('\t').expect("a Tab");
        terminal.keys(before);
        terminal.keys(after);
        for _ in after.chars() {
            terminal.keys("\x1b[D");
        }
        terminal.keys("\t");
        terminal.until_shown(becomes);
        terminal.keys("\x03");
        terminal.until("an empty line", |s| s.trim_end().ends_with("comptoir>"));
        terminal.keys("\x0c");
        terminal.until("an empty screen", |s| s.trim() == "comptoir>");
    }
    // Several fit: a menu with what they mean.
    terminal.keys("SELECT * FROM rfm_score(orders, m\t");
    let screen = terminal.until_shown("min_customers => ");
    assert!(screen.contains("m_cuts => "), "{screen}");
}

#[test]
fn ctrl_c_gives_up_the_query_and_keeps_the_session() {
    let home = home();
    let terminal = Terminal::start(home.path(), WIDE, &data(), &[]);
    terminal.run("CREATE TABLE mine AS SELECT 41 AS n;");
    let endless = "SELECT count(*) FROM orders a, orders b, orders c, orders d WHERE a.order_id || b.order_id < c.order_id || d.order_id;";
    terminal.keys(&format!("{endless}\r"));
    // The line under a long query, from the metrics of its plan.
    terminal.until_shown("rows read");
    terminal.keys("\x03");
    let screen = terminal.until_shown("interrupted");
    assert!(!screen.contains("rows read"), "the progress line is gone: {screen}");
    let screen = terminal.run("SELECT n + 1 AS answer FROM mine;");
    assert!(screen.contains("42"), "{screen}");
    // Rows that are written as they come are waited for in the same way.
    terminal.run("\\mode csv");
    terminal.keys(&format!("{endless}\r"));
    terminal.until_shown("rows read");
    terminal.keys("\x03");
    terminal
        .until("the prompt", |s| s.contains("interrupted") && s.trim_end().ends_with("comptoir>"));
    // What is on the line goes first, then a warning, then the session.
    terminal.keys("SELECT 1");
    terminal.until_shown("SELECT 1");
    terminal.keys("\x03");
    terminal.until("an empty line", |s| s.trim_end().ends_with("comptoir>"));
    terminal.keys("\x03");
    terminal.until_shown("once more leaves");
    terminal.keys("\x03");
    assert_eq!(terminal.ends(), Some(0));
}

#[test]
fn an_error_shows_its_place_and_the_nearest_name() {
    let home = home();
    let terminal = Terminal::start(home.path(), WIDE, &data(), &[]);
    let screen = terminal.run("SELECT * FROM ordres;");
    for part in ["there is no table `ordres`", "^^^^^^", "did you mean `orders`?", "sql:1:15"] {
        assert!(screen.contains(part), "should show {part}: {screen}");
    }
    let screen = terminal.run("SELECT oder_id FROM orders;");
    assert!(screen.contains("^^^^^^^") && screen.contains("order_id"), "{screen}");
    let screen = terminal.run("SELECT * FROM orders ORDER BY\r nope;");
    assert!(screen.contains("sql:2:2"), "{screen}");
    let screen = terminal.run("SELECT 1; SELECT -nope FROM orders;");
    assert!(screen.contains("sql:1:19") && screen.contains("^^^^"), "{screen}");
    let screen = terminal.run("SELEC 1;");
    assert!(screen.contains("error") && screen.contains('^'), "{screen}");
    assert!(
        terminal
            .bytes()
            .windows(5)
            .any(|w| w == b"\x1b[91m" || w == b"\x1b[31m" || w == b"\x1b[1;9"),
        "is in colour"
    );
}

#[test]
fn without_colour_nothing_is_coloured() {
    let home = home();
    let terminal = Terminal::start(home.path(), WIDE, "", &[("NO_COLOR", "1")]);
    terminal.run("SELECT 'a' AS b;");
    terminal.run("SELECT nope;");
    let bytes = String::from_utf8_lossy(&terminal.bytes()).into_owned();
    let coloured = bytes.split("\x1b[").skip(1).any(|part| {
        let end = part.find(|c: char| !(c.is_ascii_digit() || c == ';')).unwrap_or(part.len());
        let codes = &part[..end];
        part[end..].starts_with('m')
            && codes.split(';').any(|c| c.len() == 2 && c.starts_with(['3', '9']) && c != "39")
    });
    assert!(!coloured, "{bytes:?}");
}

#[test]
fn commands_do_what_help_says() {
    let home = home();
    let terminal = Terminal::start(home.path(), WIDE, &data(), &[]);
    let says = |line: &str, parts: &[&str]| {
        let screen = terminal.run(line);
        for part in parts {
            assert!(screen.contains(part), "`{line}` should show `{part}`:\n{screen}");
        }
    };
    says("\\help", &["\\describe RELATION", "\\chart", "Ctrl-R"]);
    says("\\help man", &["\\manual NAME"]);
    says(".tables order", &["order_lines", "order_id"]);
    says("\\describe orders", &["customer_id", "Utf8", "account that ordered"]);
    says("\\describe rfm_score(orders)", &["r_score", "1 to k"]);
    says("\\describe rfm_score", &["monetary", "the sum of all amounts"]);
    says("\\describe ordres", &["there is no table `ordres`", "`orders`"]);
    says("\\functions rfm_sc", &["rfm_score", "table", "Who the best customers are"]);
    says("\\functions zzz", &["no function has `zzz`"]);
    says("\\manual rfm_scor", &["there is no function `rfm_scor`", "`rfm_score`"]);
    says("\\manual keyed_hash", &["scalar function", "Example"]);
    says("\\e", &["could be `\\explain` or `\\edit`"]);
    says("\\tabels", &["there is no command `\\tabels`", "did you mean `\\tables`"]);
    says("\\read", &["`\\read` needs FILE"]);
    says("\\last", &["there is no result yet"]);
    says("\\timing off", &["timing is off"]);
    says("SELECT 1 AS a;", &["│ a │", "1 row\n"]);
    says("\\timing", &["timing is on"]);
    says("\\set x '007';", &["$x is 007 (VARCHAR)"]);
    says("\\set x 'it''s'", &["$x is it's"]);
    says("\\set x ''", &["$x is "]);
    says("SELECT length($x) AS long;", &["│    0 │"]);
    says("\\set datafusion.execution.batch_size 4096", &["done"]);
    says("\\explain", &["long: 0"]);
    says("\\describe select 1 a", &["error"]);
    says("\\mode CSV;", &["written as csv"]);
    says("SELECT 'x,y' AS a, 2 AS b;", &["a,b\n\"x,y\",2"]);
    says("\\mode vertical", &["written as vertical"]);
    says("SELECT 1 AS first, 'x' AS b;", &["── row 1 ──", "first │ 1", "    b │ x"]);
    says("\\mode parquet", &["parquet is not for a terminal", "\\output"]);
    says("\\mode table", &["written as table"]);
    says("\\set day 2026-01-31", &["$day is 2026-01-31 (DATE)"]);
    says("SELECT $day + INTERVAL '1 day' AS next;", &["2026-02-01"]);
    says("\\set n 3", &["BIGINT"]);
    says("SELECT value FROM generate_series(1, 10) LIMIT $n;", &["3 rows"]);
    says("\\set", &["$day DATE", "2026-01-31", "\\timing"]);
    says("PARAMETER since DATE;", &[""]);
    says("SELECT $since;", &["has no value", "\\set since VALUE"]);
    says("\\set since yesterday", &["takes DATE"]);
    says("\\set since 2026-02-02", &["(DATE)"]);
    says("SELECT $since AS since;", &["2026-02-02"]);
    says(
        "\\explain SELECT channel, count(*) FROM orders GROUP BY channel;",
        &["physical_plan", "DataSourceExec"],
    );
    says(
        "ASSERT NO ROWS IN (SELECT 7 AS seven) MESSAGE 'no sevens';",
        &["seven", "no sevens", "1 row fails"],
    );
    says("\\output o 1.csv", &["found `1.csv` behind `o`", "'o 1.csv'"]);
    says("\\output rows.csv;", &["the next result goes to `rows.csv`"]);
    says("SELECT 5 AS five;", &["1 row written to `rows.csv`"]);
    assert_eq!(
        std::fs::read_to_string(home.path().join("rows.csv")).expect("is there"),
        "five\n5\n"
    );
    says("SELECT 6 AS six;", &["│ six │"]);
    terminal.keys("\\q\r");
    assert_eq!(terminal.ends(), Some(0));
}

#[test]
fn files_are_read_up_to_their_first_failure() {
    let home = home();
    let write = |name: &str, text: &str| {
        std::fs::write(home.path().join(name), text).expect("writes");
    };
    write("good.sql", "-- one\n\\mode csv\nSELECT 1 AS one;\nSELECT 'two\n\\tables' AS two;\n");
    write("bad.sql", "SELECT 1 AS one;\n\\mode table\nSELECT nope;\n\\mode vertical\n");
    write("unwhole.sql", "SELECT 'ran' AS ran;\nSELECT (1;\n");
    write("loop.sql", "\\read loop.sql\n");
    let terminal = Terminal::start(home.path(), WIDE, "", &[]);
    let screen = terminal.run("\\read good.sql");
    assert!(screen.contains("one\n1") && screen.contains("\\tables\""), "{screen}");
    let screen = terminal.run("\\read bad.sql");
    assert!(screen.contains("bad.sql:3:8") && screen.contains("nope"), "{screen}");
    assert!(terminal.run("\\mode").contains("as table"));
    let screen = terminal.run("\\read unwhole.sql");
    assert!(screen.contains("unwhole.sql:2") && !screen.contains("│ ran"), "{screen}");
    assert!(terminal.run("\\read loop.sql").contains("is read by a file that it reads"));
    assert!(terminal.run("\\read none.sql").contains("cannot read `none.sql`"));
}

#[test]
fn the_editor_gives_the_statement_back_to_the_line() {
    let home = home();
    let editor = home.path().join("editor");
    std::fs::write(&editor, "#!/bin/sh\nsed -i s/40/42/ \"$1\"\n").expect("writes");
    let editor = format!("sh {}", editor.display());
    let terminal = Terminal::start(home.path(), WIDE, "", &[("EDITOR", &editor)]);
    terminal.run("SELECT 40 AS answer;");
    terminal.keys("\\edit\r");
    terminal.until_shown("comptoir> SELECT 42 AS answer;");
    terminal.keys("\r");
    terminal.until("the result", |s| s.contains("│     42 │"));
    // Also what was wrong.
    terminal.run("SELEC 40 AS answer;");
    terminal.keys("\\edit\r");
    terminal.until_shown("comptoir> SELEC 42 AS answer;");
}

#[test]
fn a_chart_is_drawn_for_every_kind_of_result() {
    let home = home();
    let terminal = Terminal::start(home.path(), WIDE, &data(), &[]);
    terminal.run("SELECT * FROM (VALUES ('seo', 10), ('ads', 5)) AS t(channel, n);");
    let screen = terminal.run("\\chart");
    assert!(
        screen.contains("n by channel") && screen.contains("seo ████") && screen.contains("10"),
        "{screen}"
    );
    terminal.run("SELECT CAST(created_timestamp AS DATE) AS day, count(*) AS orders FROM orders GROUP BY 1 LIMIT 30;");
    let screen = terminal.run("\\chart");
    assert!(
        screen.contains("orders by day") && screen.contains('└') && screen.contains("202"),
        "{screen}"
    );
    terminal.run("SELECT sin(value) AS a, cos(value) AS b FROM generate_series(1, 40);");
    let screen = terminal.run("\\chart");
    assert!(screen.contains("b (up) by a (across)"), "{screen}");
    let screen = terminal.run("\\chart histogram a");
    assert!(screen.contains("a: how many of 40 rows") && screen.contains('█'), "{screen}");
    let screen = terminal.run("\\chart line a");
    assert!(screen.contains("needs a date and one or more numbers"), "{screen}");
    let screen = terminal.run("\\chart pie");
    assert!(screen.contains("no column `pie`"), "{screen}");
}

#[test]
fn long_results_are_paged_and_cut_ones_say_so() {
    let home = home();
    let terminal = Terminal::start(home.path(), (24, 80), &data(), &[]);
    terminal.keys("SELECT value FROM generate_series(1, 200);\r");
    let screen = terminal.until_shown("lines 1 to 23 of 204");
    assert!(screen.contains("│ value │"), "{screen}");
    terminal.keys("G");
    terminal.until_shown("│   200 │");
    terminal.keys("q");
    terminal.until_shown("200 rows in");
    let screen = terminal.run("SELECT * FROM orders LIMIT 3;");
    assert!(screen.contains("columns are shown") && screen.contains("\\last"), "{screen}");
    let mut table = screen.lines().filter(|l| l.starts_with(['┌', '│', '╞', '└']));
    assert!(table.all(|l| l.chars().count() <= 80), "{screen}");
    // `\last` scrolls sideways.
    terminal.keys("\\last\r");
    terminal.until_shown("lines 1 to 7 of 7");
    terminal.keys("q");
    terminal.until("the prompt", |s| s.trim_end().ends_with("comptoir>"));
    terminal.keys("SELECT value, repeat('x', 20) AS x FROM generate_series(1, 3000000);\r");
    terminal.until_shown("of 10004");
    terminal.keys("q");
    let screen = terminal.until_shown("`_` does not hold it");
    assert!(
        screen.contains("only the first 10000 rows are shown") && screen.contains("more than"),
        "{screen}"
    );
    // Nothing earlier passes for it.
    assert!(terminal.run("\\last").contains("there is no result yet"));
    assert!(terminal.run("SELECT * FROM _;").contains("there is no table `_`"));
}

#[test]
fn the_pager_of_the_environment_is_used() {
    let home = home();
    let terminal = Terminal::start(home.path(), (24, 80), "", &[("PAGER", "cat > paged.txt")]);
    let screen = terminal.run("SELECT value FROM generate_series(1, 100);");
    assert!(screen.contains("100 rows in") && !screen.contains("│    50 │"), "{screen}");
    let paged = std::fs::read_to_string(home.path().join("paged.txt")).expect("is there");
    assert!(paged.contains("│    50 │"));
}

#[test]
fn a_pager_that_does_not_start_hides_nothing() {
    let home = home();
    let terminal = Terminal::start(home.path(), (24, 80), "", &[("PAGER", "nonesuch")]);
    terminal.keys("SELECT value FROM generate_series(1, 100);\r");
    terminal.until_shown("lines 1 to 23 of 104");
    terminal.keys("q");
    terminal.until_shown("the pager `nonesuch` does not start; our own was used");
}

#[test]
fn a_store_that_does_not_answer_holds_nobody() {
    let home = home();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("listens");
    let file = format!("'http://{}/x.parquet'", silent.local_addr().expect("has an address"));
    let terminal = Terminal::start(home.path(), WIDE, "", &[]);
    terminal.keys(&format!("\\describe {file}\r"));
    std::thread::sleep(Duration::from_millis(500));
    let start = Instant::now();
    terminal.keys("\x03");
    terminal.until_shown("interrupted");
    terminal.keys(&format!("SELECT col FROM {file}"));
    for _ in format!(" FROM {file}").chars() {
        terminal.keys("\x1b[D");
    }
    terminal.keys("\tumn");
    terminal.until_shown("SELECT column FROM");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn what_is_pasted_may_hold_commands_and_statements() {
    let home = home();
    let terminal = Terminal::start(home.path(), WIDE, "", &[]);
    terminal.keys("\x1b[200~\\timing off\nSELECT 1 AS one;\n\\mode csv\x1b[201~\r");
    let screen = terminal.until_shown("as csv");
    assert!(screen.contains("timing is off") && screen.contains("1 row\n"), "{screen}");
}

#[test]
fn a_terminal_that_cannot_move_its_cursor_gets_lines() {
    let home = home();
    let terminal = Terminal::start(home.path(), (24, 80), "", &[("TERM", "dumb")]);
    terminal.keys("SELECT nope;\r");
    terminal.until_shown("not found");
    terminal.keys("SELECT value FROM generate_series(1, 100);\r");
    terminal.until_shown("100 rows in");
    assert!(!terminal.bytes().contains(&0x1b));
}

#[test]
fn without_an_editor_ctrl_c_clears_and_then_leaves() {
    let home = home();
    let terminal = Terminal::start(home.path(), WIDE, "> out.txt", &[]);
    terminal.keys("SELECT 1,\r");
    terminal.until("the next line", |s| s.trim_end().ends_with("->"));
    terminal.keys("\x03");
    terminal.until("a prompt", |s| s.trim_end().ends_with("comptoir>"));
    terminal.keys("SELECT 42 AS answer;\r");
    terminal.until_shown("1 row in");
    terminal.keys("\x03");
    terminal.until_shown("once more leaves");
    terminal.keys("\x03");
    assert_eq!(terminal.ends(), Some(0));
    let text = std::fs::read_to_string(home.path().join("out.txt")).expect("is there");
    assert!(text.contains("42"), "{text}");
}

#[test]
fn who_is_told_to_end_leaves_the_terminal_as_it_was() {
    let home = home();
    let terminal = Terminal::start(home.path(), WIDE, "", &[]);
    let brackets = |on: &[u8]| terminal.bytes().windows(8).any(|w| w == on);
    assert!(brackets(b"\x1b[?2004h") && !brackets(b"\x1b[?2004l"));
    let mut told = Command::new("pkill");
    told.args(["-TERM", "--parent"]).arg(terminal.process().to_string());
    assert!(told.status().expect("is told").success());
    terminal.until("the brackets' end", |_| brackets(b"\x1b[?2004l"));
    assert_eq!(terminal.ends(), Some(143));
}

#[test]
fn the_file_of_the_person_runs_first() {
    let home = home();
    let folder = home.path().join(".config/comptoir");
    std::fs::create_dir_all(&folder).expect("makes");
    let init = folder.join("init.sql");
    std::fs::write(&init, "CREATE TABLE mine AS SELECT 42 AS n;\n\\timing off\n").expect("writes");
    let terminal = Terminal::start(home.path(), WIDE, "", &[]);
    let screen = terminal.run("SELECT n FROM mine;");
    assert!(screen.contains("42") && screen.contains("1 row\n"), "{screen}");
    std::fs::write(&init, "CREATE TABLE mine AS SELECT 42 AS n;\n\nSELECT nope FROM mine;\n")
        .expect("writes");
    let terminal = Terminal::start(home.path(), WIDE, "", &[]);
    let screen = terminal.screen();
    assert!(screen.contains("init.sql:3:8") && screen.contains("nope"), "{screen}");
    assert!(terminal.run("SELECT n FROM mine;").contains("42"), "the session is there");
    std::fs::remove_file(&init).expect("goes");
    std::fs::create_dir(&init).expect("makes");
    let terminal = Terminal::start(home.path(), WIDE, "", &[]);
    assert!(terminal.screen().contains("cannot read"), "{}", terminal.screen());
}

#[test]
fn whole_statements_are_remembered_across_runs() {
    let home = home();
    let data_home = home.path().join("data");
    let variables = [("XDG_DATA_HOME", data_home.to_str().expect("is text"))];
    let terminal = Terminal::start(home.path(), WIDE, "", &variables);
    terminal.keys("SELECT 12\r");
    terminal.until_shown("\n       ->");
    terminal.keys("  AS remembered;\r");
    terminal.until_shown("1 row in");
    terminal.run(" SELECT 'secret';");
    terminal.keys("\x04");
    assert_eq!(terminal.ends(), Some(0));
    let file = data_home.join("comptoir/history.txt");
    let text = std::fs::read_to_string(&file).expect("the history is there");
    assert!(text.contains("SELECT 12") && !text.contains("secret"), "{text}");
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&file).expect("is there"));
    assert_eq!(mode & 0o777, 0o600);

    let terminal = Terminal::start(home.path(), WIDE, "", &variables);
    terminal.keys("\x12");
    terminal.until_shown("earlier with ``");
    terminal.keys("remem");
    terminal.until_shown("AS remembered;");
    terminal.keys("\r");
    terminal.until("the statement on the line", |s| {
        s.contains("-> ") && s.contains("AS remembered;") && !s.contains("earlier with")
    });
    terminal.keys("\r");
    let screen = terminal.until_shown("1 row in");
    assert!(screen.contains("│         12 │"), "{screen}");
    let names: Vec<_> = std::fs::read_dir(home.path()).expect("is readable").collect();
    assert_eq!(names.len(), 1, "only the data folder was made: {names:?}");
}

#[test]
fn what_is_piped_in_runs_as_a_script() {
    let run = |text: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_comptoir"))
            .args(["--format", "csv"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut stdin = child.stdin.take().expect("takes a text");
        std::io::Write::write_all(&mut stdin, text.as_bytes()).expect("is read");
        drop(stdin);
        child.wait_with_output().expect("ends")
    };
    let good = run("SELECT 1 AS a;\nSELECT 2 AS b;");
    assert_eq!((good.status.code(), good.stdout.as_slice()), (Some(0), &b"a\n1\nb\n2\n"[..]));
    let bad = run("SELECT 1 AS a;\nSELECT nope;\nSELECT 3 AS c;");
    assert_eq!((bad.status.code(), bad.stdout.as_slice()), (Some(1), &b"a\n1\n"[..]));
    assert_eq!(run("SELECT 1 AS a;\nSELECT (;").status.code(), Some(2));
}

#[test]
fn a_terminal_that_is_gone_ends_the_prompt() {
    let home = home();
    drop(Terminal::start(home.path(), WIDE, "", &[]));
    let start = Instant::now();
    let works_here = |process: std::fs::DirEntry| {
        std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == home.path())
    };
    while std::fs::read_dir("/proc").expect("is readable").flatten().any(works_here) {
        assert!(start.elapsed() < Duration::from_secs(30), "it is still at work");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_declaration_that_fails_declares_nothing() {
    let home = home();
    let terminal = Terminal::start(home.path(), WIDE, &data(), &[]);
    terminal.run("PARAMETER a INTEGER DEFAULT 1;");
    terminal.run("PARAMETER b INTEGER DEFAULT $a + 1;");
    // Declared again, it still stands before what uses it.
    terminal.run("PARAMETER a INTEGER DEFAULT 5;");
    let screen = terminal.run("SELECT $b * 111 AS b;");
    assert!(screen.contains("666"), "{screen}");
    let screen = terminal.run("PARAMETER c INTEGER DEFAULT 1 / 0;");
    assert!(screen.contains("the parameter `c` takes INTEGER"), "{screen}");
    let screen = terminal.run("SELECT 40 + 2 AS answer;");
    assert!(screen.contains("42"), "{screen}");
    // A number keeps its digits.
    terminal.run("\\set m 1234567890123456.1234");
    let screen = terminal.run("SELECT $m AS m;");
    assert!(screen.contains("1234567890123456.1234"), "{screen}");
}
