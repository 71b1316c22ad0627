// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `--format html`: a page that a browser shows as it is meant, at any width, and that no data can turn into markup.

#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test panics, and says what it skips"
)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::oracle::{skipped, target};
use crate::script::Place;

const SCRIPT: &str = "-- The shop\n-- In one page.\n\n\
    -- The year in numbers\nSELECT 1234567 AS orders, 0.25 AS share;\n\n\
    ASSERT 1 = 1 MESSAGE 'one is not one';\n\n\
    -- Sales by month\n-- Net of refunds.\nSELECT DATE '2026-01-01' + CAST(value * 31 AS INTEGER) AS month, value * 1000.5 AS sales FROM generate_series(0, 11) ORDER BY 1;\n\n\
    -- Best products\nSELECT * FROM (VALUES ('<script>document.title = ''pwned''</script>', 3000000, repeat('long words ', 30)), ('\"><img src=x onerror=alert(1)>', 2, 'b')) AS t(product, sold, remark);\n\n\
    -- A_word_that_is_longer_than_any_phone_is_wide_as_addresses_are_which_have_no_spaces_at_all\n\
    SELECT approx_percentile_cont(column1, 0.5), approx_percentile_cont(column1, 0.25), column1 AS a_word_longer_than_a_tile_on_a_phone FROM (VALUES (1.5)) GROUP BY column1;\n\n\
    SELECT 1 AS a WHERE false;\n";

fn page(place: &Place) -> String {
    place.write("shop.sql", SCRIPT);
    let out =
        place.command(&["run", "--format", "html", "--output", "shop.html", "shop.sql"]).output();
    let out = out.expect("the program starts");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    place.read("shop.html")
}

#[test]
fn a_script_becomes_one_page_with_its_comments_as_titles() {
    let place = Place::new();
    let html = page(&place);
    for part in [
        "<title>The shop</title>",
        "<h1>The shop</h1><p class=\"about\">In one page.</p>",
        "<h2>The year in numbers</h2>",
        "<dd>1,234,567</dd>",
        "<dd>25.0 %</dd>",
        "<h2>Sales by month</h2>\n<p class=\"about\">Net of refunds.</p>",
        "<figure class=\"lines\">",
        "<figure class=\"bars\"",
        "&lt;script&gt;document.title = &#39;pwned&#39;&lt;/script&gt;",
        "No rows",
        "<div class=\"part\" id=\"s5\">",
        "1 of 1 hold",
        "name=\"viewport\"",
        "@media print",
        "prefers-color-scheme: dark",
    ] {
        assert!(html.contains(part), "should hold {part}: {html}");
    }
    for part in ["<script", "<img", "http://", "https://", "url(", "@import"] {
        assert!(!html.contains(part), "should not hold {part}");
    }
    // One result by itself, by name and by order; not as a folder, and not to be read.
    let run = |sql: &str| {
        let out = place.command(&["-q", "-c", sql]).output().expect("the program starts");
        (out.status.code().expect("ends"), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    for target in ["'one.html'", "'one.htm' STORED AS HTML", "'one.page' (FORMAT html)"] {
        let (code, said) = run(&format!("COPY (SELECT 'a' AS k, 1 AS n) TO {target}"));
        assert_eq!(code, 0, "{target}: {said}");
        let file = target.split('\'').nth(1).expect("a name");
        let page = place.read(file);
        assert!(page.contains("<dd>a</dd>") && page.contains("<h1>one</h1>"), "{target}: {page}");
    }
    let (code, said) = run("COPY (SELECT 1 AS n) TO 'no.html' (FORMAT html, HEADER true)");
    assert!(code != 0 && said.contains("HTML has no option `format.has_header`"), "{said}");
    assert_eq!(run("COPY (SELECT 1 AS n) TO 'one.csv' (FORMAT csv, HEADER false)").0, 0);
    assert_eq!(place.read("one.csv"), "1\n");
    assert_ne!(run("COPY (SELECT 1 AS n) TO 'folder/' STORED AS HTML").0, 0);
    assert_ne!(run("COPY (SELECT raise('no') AS n) TO 'no.html'").0, 0);
    assert!(!place.path("no.html").exists() && !place.path("folder").exists());
}

#[test]
fn a_script_is_one_page_on_the_standard_output_too() {
    let place = Place::new();
    let html = page(&place);
    let run = |arguments: &[&str]| {
        let out = place.command(arguments).output().expect("the program starts");
        (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned())
    };
    assert_eq!(run(&["run", "--format", "html", "shop.sql"]), (Some(0), html));
    let typed = "SELECT 1 AS a; SELECT 'b\r\nc' AS b";
    let (_, typed) = run(&["--format", "html", "-c", typed]);
    assert_eq!(typed.matches("<!DOCTYPE").count(), 1, "{typed}");
    assert!(typed.contains("<h1>Report</h1>") && !typed.contains('\u{fffd}'), "{typed}");
    // An error behind the rows that are shown is an error.
    let late = "SELECT CASE WHEN value = 5000 THEN raise('late') ELSE value END AS v FROM generate_series(1, 9000)";
    assert_eq!(run(&["--format", "html", "-c", late]), (Some(1), String::new()));
}

#[test]
fn a_job_that_goes_on_says_in_its_page_what_failed() {
    let place = Place::new();
    place.write(
        "job.sql",
        "SELECT 1 AS a;\nASSERT 1 = 2 MESSAGE 'one is not two';\n-- Lost\nSELECT raise('no') AS b;\nSELECT 3 AS c;",
    );
    let run = |arguments: &[&str]| {
        let all = ["run", "--format", "html", "--output", "job.html"].iter().chain(arguments);
        let out = place.command(&all.chain(&["job.sql"]).copied().collect::<Vec<_>>()).output();
        out.expect("the program starts").status.code()
    };
    for stops in [&["--on-error", "continue"][..], &["--publish", "each"]] {
        assert_eq!(run(stops), Some(1));
        assert!(!place.path("job.html").exists(), "{stops:?}");
    }
    assert_eq!(run(&["--publish", "each", "--on-error", "continue"]), Some(1));
    let html = place.read("job.html");
    for part in ["one is not two", "Lost failed: no", "0 of 2 hold", "<dt>C</dt>"] {
        assert!(html.contains(part), "should hold {part}: {html}");
    }
}

/// What the browser makes of the page: its title, whether anything is wider than the window, how many sections it shows, and
/// on how many scales its bars are.
const MEASURE: &str = "<p id=\"measured\"></p><script>\
    const said = 'MEASURED ' + document.title + '|' + \
    (document.documentElement.scrollWidth <= window.innerWidth) + '|' + document.querySelectorAll('.part').length + '|' + \
    document.querySelectorAll('script').length + '|' + document.querySelectorAll('img').length + '|' + \
    new Set([...document.querySelectorAll('.bars svg')].map(s => Math.round(s.getBoundingClientRect().width))).size; \
    document.getElementById('measured').textContent = said; parent.postMessage(said, '*');</script>";

/// A phone: no window of the browser is as narrow.
const PHONE: &str = "<p id=\"heard\"></p>\
    <script>onmessage = e => document.getElementById('heard').textContent = e.data;</script>\
    <iframe src=\"measured.html\" style=\"width:375px;height:900px\"></iframe>";

#[test]
fn a_browser_shows_it_within_any_width() {
    let Some(browser) = chromium() else { return };
    let place = Place::new();
    let html = page(&place);
    // The page forbids scripts, and the measuring is one.
    let policy = html.find("<meta http-equiv").expect("a policy");
    let end = policy + html[policy..].find('\n').expect("a line");
    let measured = format!("{}{}", &html[..policy], &html[end..])
        .replace("</body>", &format!("{MEASURE}</body>"));
    place.write("measured.html", &measured);
    place.write("phone.html", PHONE);
    for (width, file) in [(500, "measured.html"), (1280, "measured.html"), (500, "phone.html")] {
        let dom = browse(
            &browser,
            &place,
            &[&format!("--window-size={width},900"), "--virtual-time-budget=5000", "--dump-dom"],
            file,
        );
        assert!(
            dom.contains("MEASURED The shop|true|6|1|0|1<"),
            "{file} at {width}: {}",
            &dom[dom.len().saturating_sub(600)..]
        );
    }
    // The page as it is: nothing in it runs.
    let dom = browse(&browser, &place, &["--dump-dom"], "shop.html");
    assert!(dom.contains("<title>The shop</title>") && !dom.contains("pwned</title>"));
    let picture = place.path("shop.png").display().to_string();
    browse(
        &browser,
        &place,
        &["--window-size=390,2400", &format!("--screenshot={picture}")],
        "shop.html",
    );
    assert!(
        fs::metadata(place.path("shop.png")).is_ok_and(|m| m.len() > 20_000),
        "a picture with something in it"
    );
}

fn browse(browser: &Path, place: &Place, arguments: &[&str], page: &str) -> String {
    let root = target().join("chromium/root");
    let mut libraries = vec![];
    folders_with_libraries(&root, &mut libraries);
    let out = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
        ])
        .arg(format!("--user-data-dir={}", place.path("profile").display()))
        .args(arguments)
        .arg(format!("file://{}", place.path(page).display()))
        .env("LD_LIBRARY_PATH", std::env::join_paths(libraries).expect("paths"))
        .output()
        .expect("the browser starts");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

fn folders_with_libraries(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            folders_with_libraries(&path, found);
        } else if path.file_name().is_some_and(|n| n.to_string_lossy().contains(".so"))
            && !found.contains(&folder.to_path_buf())
        {
            found.push(folder.to_path_buf());
        }
    }
}

/// Debian's Chromium, unpacked once under target/ with the libraries that this machine lacks.
#[track_caller]
fn chromium() -> Option<PathBuf> {
    let home = target().join("chromium");
    let browser = home.join("root/usr/lib/chromium/chromium");
    let lock = File::create(target().join("chromium.lock")).expect("a lock file");
    lock.lock().expect("the lock, free in the end");
    if home.join("whole").exists() {
        return Some(browser);
    }
    let archives = home.join("archives");
    fs::create_dir_all(archives.join("partial")).expect("a folder");
    let fetched = Command::new("apt-get")
        .arg("-o")
        .arg(format!("Dir::Cache::archives={}", archives.display()))
        .args([
            "-o",
            "Debug::NoLocking=1",
            "--no-install-recommends",
            "--download-only",
            "-y",
            "install",
            "chromium",
        ])
        .output();
    let debs: Vec<PathBuf> = fs::read_dir(&archives)
        .expect("lists")
        .map(|e| e.expect("entry").path())
        .filter(|p| p.extension().is_some_and(|e| e == "deb"))
        .collect();
    if !fetched.is_ok_and(|out| out.status.success()) || debs.is_empty() {
        eprintln!("skipped: no Chromium from Debian's packages here");
        skipped("no Chromium");
        return None;
    }
    for deb in debs {
        let done = Command::new("dpkg").arg("-x").arg(&deb).arg(home.join("root")).status();
        assert!(done.expect("dpkg starts").success(), "{}", deb.display());
    }
    fs::write(home.join("whole"), "").expect("a mark");
    Some(browser)
}
