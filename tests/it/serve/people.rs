// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Who is let in, and what may be known of them.

use jsonwebtoken::{Algorithm, EncodingKey};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use super::*;

impl Serving {
    /// A client that knows the authority of [`certificates`], and may have a certificate of it.
    async fn secure_client(
        &self,
        folder: &Path,
        certificate: bool,
    ) -> Result<FlightSqlServiceClient<Channel>, tonic::transport::Error> {
        let pem = |name: &str| fs::read(folder.join(name)).expect("is there");
        let mut tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(pem("ca.pem")))
            .domain_name("localhost");
        if certificate {
            tls = tls.identity(Identity::from_pem(pem("client.pem"), pem("client.key")));
        }
        let channel = Channel::from_shared(format!("https://{}", self.address));
        let channel = channel.expect("an address").tls_config(tls).expect("a certificate");
        Ok(FlightSqlServiceClient::new(channel.connect().await?))
    }
}

/// Makes an authority, and certificates with their keys, as an operator would.
fn certificates(folder: &Path) {
    let request = |name: &str, more: &[&str]| {
        let mut openssl = Command::new("openssl");
        openssl.current_dir(folder).args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"]);
        openssl.args(["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", &format!("/CN={name}")]);
        openssl
            .args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")])
            .args(more);
        crate::oracle::succeed(&mut openssl);
    };
    request("ca", &[]);
    let alternative = "subjectAltName=DNS:localhost,IP:127.0.0.1";
    let leaf =
        ["-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "basicConstraints=critical,CA:FALSE"];
    request("server", &[&leaf[..], &["-addext", alternative]].concat());
    request("client", &leaf);
}

fn add(folder: &Path, arguments: &[&str], typed: &str) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_comptoir"))
        .args(["user"])
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    child.stdin.take().expect("is piped").write_all(typed.as_bytes()).expect("is typed");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_string()
}

#[test]
fn nobody_is_let_in_who_is_not_known_and_no_secret_is_written_down() {
    let folder = Serving::shop();
    let at = folder.path().to_path_buf();
    certificates(&at);
    let config = "data = [\"shop\"]\n[serve]\naccess_log = \"access.jsonl\"\n[serve.tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\nclient_ca = \"ca.pem\"\nclient_optional = true\n[serve.jwt]\nissuer = \"https://id\"\naudience = \"comptoir\"\nalgorithm = \"HS256\"\nkey = \"jwt.key\"\n[serve.limits.small]\nrows = 100\n";
    fs::write(at.join("jwt.key"), "0123456789abcdef0123456789abcdef").expect("a secret");
    fs::write(at.join("comptoir.toml"), config).expect("the configuration");
    add(&at, &["add", "ann", "--rights", "writer"], "correct horse battery\n");
    add(&at, &["add", "bob", "--role", "small"], "another password\n");
    let token = add(&at, &["token", "superset"], "");
    let config = fs::read_to_string(at.join("comptoir.toml")).expect("is there");
    assert!(
        config.contains("$argon2id$")
            && !config.contains("correct horse")
            && !config.contains(&token)
    );
    let server = &Serving::start_in(folder, &config, &[]);
    let at = &at;
    block_on(async {
        let connect = |certificate: bool| async move {
            server.secure_client(at, certificate).await.expect("it answers")
        };
        // Not without TLS, not without a name, not with a wrong one.
        let plain = Channel::from_shared(format!("http://{}", server.address)).expect("an address");
        if let Ok(channel) = plain.connect().await {
            assert!(query(&mut FlightSqlServiceClient::new(channel), "SELECT 1").await.is_err());
        }
        let mut client = connect(false).await;
        let error = query(&mut client, "SELECT 1").await.expect_err("nobody");
        assert!(error.contains("wants a user and a password"), "{error}");
        for (name, password) in [("ann", "wrong"), ("nobody", "correct horse battery"), ("ann", "")]
        {
            let asked = Instant::now();
            let error =
                client.handshake(name, password).await.expect_err("a wrong password").to_string();
            assert!(error.contains("the user or the password is wrong"), "{error}");
            assert!(asked.elapsed() >= Duration::from_millis(250), "a guess has to wait");
        }
        client.set_token("nonsense".into());
        assert!(query(&mut client, "SELECT 1").await.expect_err("no token").contains("not valid"));
        // With a password, and the token it gives; with a service's token; with an issuer's.
        let mut ann = connect(true).await;
        let own = ann.handshake("ann", "correct horse battery").await.expect("is let in");
        assert_eq!(number(&mut ann, "SELECT count(*) FROM orders").await, Ok(500));
        query(&mut ann, "CREATE TABLE anns AS SELECT 'secret@example.org' AS mail")
            .await
            .expect("a writer");
        let mut bob = connect(true).await;
        bob.handshake("bob", "another password").await.expect("is let in");
        assert!(
            query(&mut bob, "DROP TABLE anns")
                .await
                .expect_err("a reader")
                .contains("a reader cannot")
        );
        let error = query(&mut bob, "SELECT * FROM orders").await.expect_err("too many");
        assert!(error.contains("larger than the role `small` may take"), "{error}");
        assert_eq!(number(&mut bob, "SELECT count(*) FROM orders").await, Ok(500));
        // A ticket is its owner's.
        let info = ann
            .execute("SELECT mail FROM anns WHERE mail = 'secret@example.org'".into(), None)
            .await
            .expect("a ticket");
        assert!(
            fetch(&mut bob, info.clone()).await.expect_err("another's").contains("somebody else's")
        );
        fetch(&mut ann, info).await.expect("her own");
        let mut superset = connect(true).await;
        superset.set_token(token.clone());
        assert_eq!(number(&mut superset, "SELECT count(*) FROM orders").await, Ok(500));
        let claims = serde_json::json!({ "sub": "carol", "iss": "https://id", "aud": "comptoir", "role": "admin", "exp": 4_000_000_000_u64 });
        let key = EncodingKey::from_secret(b"0123456789abcdef0123456789abcdef");
        let jwt =
            jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("encodes");
        let mut carol = connect(true).await;
        carol.set_token(jwt.clone());
        assert!(
            query(&mut carol, "DROP TABLE anns")
                .await
                .expect_err("no more than a reader")
                .contains("a reader cannot")
        );
        // Everybody sees their own queries.
        let seen = "SELECT count(*) FROM sys.queries WHERE user_name <> ";
        assert_eq!(number(&mut ann, &format!("{seen}'ann'")).await, Ok(0));
        assert!(number(&mut ann, "SELECT count(*) FROM sys.queries").await.expect("counts") > 1);
        assert!(server.metric("comptoir_failed_logins_total") >= 4.0);
        // No secret in the log, in settings, in what the server says of itself.
        let log = fs::read_to_string(at.join("access.jsonl")).expect("a log");
        let own = String::from_utf8(own.to_vec()).expect("text");
        let secrets = [
            "correct horse",
            "another password",
            "wrong\"",
            "secret@example.org",
            "0123456789abcdef",
            &token,
            &jwt,
            &own,
        ];
        let settings = query(&mut ann, "SELECT name, value FROM information_schema.df_settings")
            .await
            .expect("settings");
        let info = ann.get_sql_info(vec![]).await.expect("infos");
        let infos = fetch(&mut ann, info).await.expect("infos");
        for text in [log.as_str(), &format!("{settings:?}"), &format!("{infos:?}")] {
            for secret in secrets {
                assert!(!text.contains(secret), "{secret} is in {text}");
            }
        }
        for line in log.lines() {
            let line: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
            assert!(line["event"].is_string() && line["at"].is_number(), "{line}");
        }
        assert!(log.contains("\"let_in\":false") && log.contains("WHERE mail = ?"), "{log}");
    });
}

/// A token for a user, signed by an issuer.
fn issued(algorithm: Algorithm, key: &EncodingKey) -> String {
    let claims = serde_json::json!({ "sub": "dora", "iss": "https://id", "aud": "comptoir", "role": "writer", "exp": 4_000_000_000_u64 });
    jsonwebtoken::encode(&jsonwebtoken::Header::new(algorithm), &claims, key).expect("encodes")
}

#[test]
fn an_issuer_s_keys_are_taken_for_what_they_are_and_a_certificate_can_be_demanded() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().to_path_buf();
    certificates(&at);
    for (kind, options) in [("RSA", &["-pkeyopt", "rsa_keygen_bits:2048"][..]), ("ED25519", &[])] {
        let mut openssl = Command::new("openssl");
        openssl.current_dir(&at).args(["genpkey", "-algorithm", kind, "-out"]);
        crate::oracle::succeed(openssl.arg(format!("{kind}.key")).args(options));
        let mut openssl = Command::new("openssl");
        openssl.current_dir(&at).args(["pkey", "-pubout", "-in", &format!("{kind}.key"), "-out"]);
        crate::oracle::succeed(openssl.arg(format!("{kind}.pub")));
    }
    let pem = |name: &str| fs::read(at.join(name)).expect("is there");
    for (word, algorithm, file, key) in [
        ("RS256", Algorithm::RS256, "RSA", EncodingKey::from_rsa_pem(&pem("RSA.key"))),
        ("EdDSA", Algorithm::EdDSA, "ED25519", EncodingKey::from_ed_pem(&pem("ED25519.key"))),
    ] {
        let config = format!(
            "[serve.jwt]\nissuer = \"https://id\"\naudience = \"comptoir\"\nalgorithm = \"{word}\"\nkey = \"{}\"\nrights = \"writer\"\n",
            at.join(format!("{file}.pub")).display()
        );
        let path = |name: &str| at.join(name).display().to_string();
        let server = Serving::start_in(
            tempfile::tempdir().expect("a folder"),
            &config,
            &[
                "--certificate",
                &path("server.pem"),
                "--key",
                &path("server.key"),
                "--client-ca",
                &path("ca.pem"),
            ],
        );
        block_on(async {
            let mut dora = server.secure_client(&at, true).await.expect("it answers");
            dora.set_token(issued(algorithm, &key.expect("a key")));
            query(&mut dora, "CREATE TABLE t AS SELECT 1 AS n").await.expect("a writer");
            // What everybody may know signs nothing.
            let public = EncodingKey::from_secret(&pem(&format!("{file}.pub")));
            dora.set_token(issued(Algorithm::HS256, &public));
            assert!(query(&mut dora, "SELECT 1").await.expect_err(word).contains("not valid"));
            // A client without a certificate gets no answer at all.
            if let Ok(mut client) = server.secure_client(&at, false).await {
                let error = query(&mut client, "SELECT 1").await.expect_err("no certificate");
                assert!(!error.contains("a user and a password"), "{error}");
            }
        });
    }
}

#[test]
fn tickets_handles_and_tokens_have_their_day() {
    let config = "[serve]\nticket_lifetime = \"1s\"\ntoken_lifetime = \"1s\"\n";
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("comptoir.toml"), config).expect("the configuration");
    add(folder.path(), &["add", "ann"], "correct horse battery\n");
    let config = fs::read_to_string(folder.path().join("comptoir.toml")).expect("is there");
    let server = Serving::start_in(folder, &config, &[]);
    block_on(async {
        let mut ann = server.client().await;
        ann.handshake("ann", "correct horse battery").await.expect("is let in");
        let info = ann.execute("SELECT 1".into(), None).await.expect("a ticket");
        let expires = info.endpoint[0].expiration_time.expect("is said");
        assert!(expires.seconds > 0);
        let mut prepared = ann.prepare("SELECT 1".into(), None).await.expect("prepares");
        tokio::time::sleep(Duration::from_millis(2_100)).await;
        let error = query(&mut ann, "SELECT 1").await.expect_err("the token is old");
        assert!(error.contains("log in again"), "{error}");
        // The client of arrow-flight sends an old token along when it logs in, so it is another one's turn.
        let mut ann = server.client().await;
        ann.handshake("ann", "correct horse battery").await.expect("is let in again");
        let error = fetch(&mut ann, info).await.expect_err("the ticket is old");
        // FAILED_PRECONDITION, in tonic's words.
        assert!(error.contains("has expired") && error.contains("not in a state"), "{error}");
        let error = prepared.execute().await.expect_err("the token is old").to_string();
        assert!(error.contains("log in again") || error.contains("has expired"), "{error}");
    });
}

#[test]
fn other_machines_are_not_served_in_the_clear() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_comptoir"))
        .args(["serve", "--listen", "0.0.0.0:0"])
        .current_dir(folder.path())
        .output()
        .expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("in the clear") && said.contains("certificate"), "{said}");
}
