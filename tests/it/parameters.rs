// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Values for `$name`: from where, of which type, and never more than a value.

use crate::script::Place;

#[test]
fn parameters_come_from_the_line_the_file_and_the_script_in_that_order() {
    let place = Place::new();
    place.write(
        "a.sql",
        "PARAMETER a INTEGER DEFAULT 1; PARAMETER b VARCHAR DEFAULT 'x'; PARAMETER c DATE DEFAULT DATE '2026-01-31' + $a;\n\
         PARAMETER t IDENTIFIER DEFAULT one;\n\
         CREATE TABLE one AS SELECT 'one' AS name; CREATE TABLE \"T w\" AS SELECT 'two' AS name;\n\
         SELECT $a AS a, arrow_typeof($a) AS ta, $b AS b, $c AS c, name FROM \"$t\";\n",
    );
    place.write("p.toml", "a = 5\nb = \"it's\"").write("p.json", r#"{"a": 7, "b": null}"#);
    for (arguments, row) in [
        (&["a.sql"][..], "1,Int32,x,2026-02-01,one"),
        (&["a.sql", "--params", "p.toml"], "5,Int32,it's,2026-02-05,one"),
        (&["a.sql", "--params", "p.json"], "7,Int32,,2026-02-07,one"),
        (
            &["a.sql", "--params", "p.toml", "-p", "a=-2", "-p", "T=T w"],
            "-2,Int32,it's,2026-01-29,two",
        ),
        (
            &["a.sql", "-p", "b='; DROP TABLE one; --"],
            "1,Int32,'; DROP TABLE one; --,2026-02-01,one",
        ),
    ] {
        let (code, out, said) = place.run(arguments);
        assert_eq!((code, out.lines().nth(1)), (0, Some(row)), "{arguments:?}: {said}");
    }
    for (arguments, said) in [
        (&["-p", "a=five"][..], "takes INTEGER; `five` is not one"),
        (&["-p", "a=2.5"], "takes INTEGER"),
        (&["-p", "c=31.01.2026"], "takes DATE"),
        (&["-p", "bb=1"], "no script declares the parameter `bb`"),
        (&["-p", "a"], "not `name=value`"),
        (&["-p", "a=1", "-p", "a=2"], "given twice"),
        (&["--params", "no.json"], "no.json"),
        (&["-p", "t=nothing"], "there is no table `nothing`"),
    ] {
        let (code, out, error) = place.run(&[&["a.sql"], arguments].concat());
        let expected = if error.contains("there is no table") { 1 } else { 2 };
        assert_eq!((code, out.as_str()), (expected, ""), "{arguments:?}: {error}");
        assert!(error.contains(said), "{arguments:?} should say {said}: {error}");
    }
}

#[test]
fn a_value_is_what_was_written_or_refused() {
    let place = Place::new();
    let show = |data_type: &str, more: &[&str]| {
        place.write("a.sql", &format!("PARAMETER x {data_type}; SELECT $x AS x;"));
        place.run(&[&["a.sql"], more].concat())
    };
    for (data_type, value, shown) in [
        ("DECIMAL(38,10)", "12345678901234567.1234", "12345678901234567.1234000000"),
        ("DECIMAL(18,8)", "0.0000001", "0.00000010"),
        ("DECIMAL(38,0)", "99999999999999999999", "99999999999999999999"),
        ("DECIMAL(18,2)", "1.5000", "1.50"),
        ("DOUBLE PRECISION", "1.5", "1.5"),
        ("BIGINT UNSIGNED", "5", "5"),
        ("TIMESTAMP WITHOUT TIME ZONE", "2026-01-01T00:00:00", "2026-01-01T00:00:00"),
        ("TIMESTAMP WITH TIME ZONE", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00"),
        ("CHARACTER VARYING", "abc", "abc"),
        ("VARCHAR(3)", "abc", "abc"),
    ] {
        let (code, out, said) = show(data_type, &["-p", &format!("x={value}")]);
        let expected = format!("x\n{shown}\n");
        assert_eq!((code, &out), (0, &expected), "{data_type}: {said}");
        if !data_type.starts_with("DECIMAL") {
            continue;
        }
        // The same from a file of either kind and as a default.
        place.write("p.json", &format!("{{\"x\": {value}}}"));
        place.write("p.toml", &format!("x = {value}"));
        for file in ["p.json", "p.toml"] {
            let (_, out, said) = show(data_type, &["--params", file]);
            assert_eq!(out, expected, "{data_type} {file}: {said}");
        }
        let (_, out, said) = show(&format!("{data_type} DEFAULT {value}"), &[]);
        assert_eq!(out, expected, "{data_type}: {said}");
    }
    place.write("l.sql", "PARAMETER x INT UNSIGNED[]; SELECT $x[1] AS x, 6 IN $x AS i;");
    assert_eq!(place.run(&["l.sql", "-p", "x=[5,6]"]).1, "x,i\n5,true\n");
    for (data_type, value, why) in [
        ("DECIMAL(18,4)", "1.23456", "never rounded"),
        ("BIGINT", "1.5", "takes BIGINT"),
        ("DOUBLE", "1e400", "larger than the largest"),
        ("VARCHAR(3)", "abcdef", "it has 6 characters"),
        ("DECIMAL(18,4)[]", "[1.2,1.23456]", "never rounded"),
    ] {
        let (code, out, said) = show(data_type, &["-p", &format!("x={value}")]);
        assert_eq!((code, out.as_str()), (2, ""), "{data_type}: {said}");
        assert!(said.contains(why) && said.contains(&format!("takes {data_type}")), "{said}");
        let quote = if data_type.starts_with("VARCHAR") { "'" } else { "" };
        let (code, _, said) = show(&format!("{data_type} DEFAULT {quote}{value}{quote}"), &[]);
        assert_eq!(code, 2, "{data_type} DEFAULT {value}: {said}");
    }
    place.write("p.json", r#"{"x": 1, "X": 2}"#);
    let (code, _, said) = show("BIGINT", &["--params", "p.json"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("`x` is given twice"), "{said}");
}

#[test]
fn a_text_is_never_a_name() {
    let place = Place::new();
    for (text, at) in [
        ("SELECT count(*) FROM $p;", "a.sql:2:22"),
        ("DROP TABLE $p;", "a.sql:2:12"),
        ("CREATE TABLE $p AS SELECT 1;", "a.sql:2:14"),
        ("INSERT INTO $p VALUES (1);", "a.sql:2:13"),
        ("SELECT 1 AS $p;", "a.sql:2:13"),
        ("SELECT * FROM check_unique($p, a);", "a.sql:2:28"),
    ] {
        place.write(
            "a.sql",
            &format!("PARAMETER p VARCHAR; CREATE TABLE orders AS SELECT 1 AS a;\n{text}"),
        );
        let (code, out, said) = place.run(&["a.sql", "-p", "p=orders"]);
        assert_eq!((code, out.as_str()), (2, ""), "{text}: {said}");
        assert!(
            said.contains(at) && said.contains("IDENTIFIER"),
            "{text} should point at {at}: {said}"
        );
    }
    place.write("a.sql", "PARAMETER p VARCHAR;\nCOPY (SELECT $p AS p) TO $p; CREATE EXTERNAL TABLE t STORED AS CSV LOCATION $p OPTIONS ('format.has_header' $h); SELECT * FROM t;\nPARAMETER h VARCHAR DEFAULT 'true';");
    let (code, out, said) = place.run(&["a.sql", "--publish", "each", "-p", "p=o.csv"]);
    assert_eq!((code, out.as_str()), (0, "p\no.csv\n"), "{said}");
}

#[test]
fn the_mark_of_windows_is_no_part_of_a_text() {
    let place = Place::new();
    place.write("a.sql", "\u{feff}PARAMETER x INTEGER; SELECT $x AS x;");
    place.write("p.json", "\u{feff}{\"x\": 1}").write("p.toml", "\u{feff}x = 1");
    for file in ["p.json", "p.toml"] {
        let (code, out, said) = place.run(&["a.sql", "--params", file]);
        assert_eq!((code, out.as_str()), (0, "x\n1\n"), "{said}");
    }
    place.write("b.sql", "\u{feff}SELECT nope;");
    assert!(place.run(&["b.sql"]).2.contains("b.sql:1:8"));
}

#[test]
fn a_list_is_a_parameter_too() {
    let place = Place::new();
    place.write(
        "a.sql",
        "PARAMETER skus VARCHAR[] DEFAULT ['a', 'it''s']; PARAMETER ids BIGINT[] DEFAULT [];\n\
         SELECT x, x IN $skus AS i, x NOT IN $skus AS n, x = ANY($skus) AS a, coalesce(array_length($skus), 0) AS l, 1 IN $ids AS e\n\
         FROM (VALUES ('a'), ('c,d'), ('it''s')) AS t(x);\n\
         SELECT count(*) AS n FROM (VALUES (1), (NULL)) AS t(x) WHERE x NOT IN $ids;\n",
    );
    place.write("p.json", r#"{"skus": ["c,d"], "ids": [1, 2]}"#).write("p.toml", "ids = [1]");
    let ids = |e: &str, n: u32| (e.to_string(), n);
    for (arguments, rows, (e, n)) in [
        (&[][..], ["a,true,false,true,2", "\"c,d\",false,true,false,2"], ids("false", 2)),
        (
            &["-p", "skus=[]"],
            ["a,false,true,false,0", "\"c,d\",false,true,false,0"],
            ids("false", 2),
        ),
        (
            &["-p", "skus=[x, a]"],
            ["a,true,false,true,2", "\"c,d\",false,true,false,2"],
            ids("false", 2),
        ),
        (
            &["--params", "p.json"],
            ["a,false,true,false,1", "\"c,d\",true,false,true,1"],
            ids("true", 0),
        ),
        (
            &["--params", "p.toml"],
            ["a,true,false,true,2", "\"c,d\",false,true,false,2"],
            ids("true", 0),
        ),
    ] {
        let (code, out, said) = place.run(&[&["a.sql"], arguments].concat());
        let lines: Vec<&str> = out.lines().collect();
        let row = |i: usize| format!("{},{e}", rows[i]);
        assert_eq!(
            (code, lines[1], lines[2]),
            (0, row(0).as_str(), row(1).as_str()),
            "{arguments:?} {said}"
        );
        assert_eq!(lines.last(), Some(&n.to_string().as_str()), "{arguments:?}: {out}");
    }
    for (value, said) in [
        ("skus=a,b", "is not a list"),
        ("skus=[a,,b]", "is not a list"),
        ("ids=[1,x]", "takes BIGINT[]; `[1,x]` is not one"),
        ("ids=[[1]]", "is not"),
    ] {
        let (code, _, error) = place.run(&["a.sql", "-p", value]);
        assert_eq!(code, 2, "{value}: {error}");
        assert!(error.contains(said), "{value} should say {said}: {error}");
    }
}

#[test]
fn nothing_is_cut_from_a_value_without_a_word() {
    let place = Place::new();
    for (declared, value, why) in [
        ("DATE", "2026-01-01T23:30:00-05:00", "the day alone is wanted"),
        ("DATE", "2026-01-01 10:00:00", "the day alone is wanted"),
        ("DATE[]", "[2026-01-01, 2026-01-01T10:00:00]", "the day alone is wanted"),
        ("TIMESTAMP(0)", "2026-01-01 10:00:00.9", "it would be cut"),
        ("VARCHAR", "json", "a list is given"),
    ] {
        place.write("a.sql", &format!("PARAMETER x {declared}; SELECT $x AS x;"));
        place.write("p.json", "{\"x\": [\"seo\"]}").write("p.toml", "x = [\"seo\"]");
        let given = format!("x={value}");
        let ways: &[&[&str]] = match value {
            "json" => &[&["--params", "p.json"], &["--params", "p.toml"]],
            _ => &[&["-p", &given]],
        };
        for way in ways {
            let (code, out, said) = place.run(&[&["a.sql"], *way].concat());
            assert_eq!((code, out.as_str()), (2, ""), "{declared} {value}: {said}");
            assert!(said.contains(why), "{declared} {value} should say {why}: {said}");
        }
    }
    for declared in ["n INTEGER DEFAULT (1.9)", "v VARCHAR(3) DEFAULT 'ab' || 'cd'"] {
        place.write("a.sql", &format!("PARAMETER {declared}; SELECT 1;"));
        assert_eq!(place.run(&["a.sql"]).0, 2, "{declared}");
    }
    // A text that looks like a list is a text, and a word of the grammar may be a name.
    place.write("a.sql", "PARAMETER default VARCHAR DEFAULT 'x'; SELECT $default AS d;");
    assert_eq!(place.run(&["a.sql", "-p", "default=[\"seo\"]"]).1, "d\n\"[\"\"seo\"\"]\"\n");
    assert_eq!(place.run(&["a.sql"]).1, "d\nx\n");
    place.write("a.sql", "PARAMETER default VARCHAR; SELECT 1;");
    assert_eq!(place.run(&["a.sql"]).0, 2);
}
