// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! A text and a cursor → what could stand there. Pure, and content with text that does not parse yet.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::scope::{self, Relation};
use crate::repl::lex::{self, Piece, lex};

/// What could stand at the cursor.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Wanted {
    /// Nothing that can be guessed: a new name, a number, a comment.
    Nothing,
    /// The first word of a statement.
    Start,
    /// A word of the grammar, after something complete.
    Keyword,
    /// Something to read from.
    Relation,
    /// A column or a function; of one relation, when it has been named before a dot.
    Expression { of: Option<String> },
    /// An argument of a table function.
    Argument(Call),
    /// The value of a table function's parameter.
    Value(Call, String),
    /// A path, within quotes.
    File,
    /// The name of a value given by `\set`.
    Variable,
}

/// The call of a table function that the cursor stands in.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Call {
    pub(super) function: String,
    /// How many arguments stand before the cursor.
    pub(super) position: usize,
    /// The parameters given by name.
    pub(super) given: Vec<String>,
    /// The relation that is its first argument, when there is one.
    pub(super) input: Option<String>,
}

/// The cursor's place in a statement.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) wanted: Wanted,
    /// Where the word under the cursor begins, its opening quote included.
    pub(super) from: usize,
    /// The word up to the cursor, without its opening quote.
    pub(super) word: String,
    /// The quote that it begins with.
    pub(super) quote: Option<char>,
    /// What the query around the cursor reads.
    pub(super) relations: Vec<Relation>,
    /// The names that the query gives its columns, where they can be used.
    pub(super) aliases: Vec<String>,
    /// The common table expressions before the cursor, as text.
    pub(super) with: String,
    /// Their names.
    pub(super) names: Vec<String>,
}

/// Looks at the statement around the cursor.
pub(super) fn place(text: &str, cursor: usize, is_table_function: &dyn Fn(&str) -> bool) -> Place {
    let semicolons: Vec<usize> =
        lex(text).0.iter().filter(|p| p.token == Token::SemiColon).map(|p| p.range.end).collect();
    let start = semicolons.iter().rev().find(|end| **end <= cursor).copied().unwrap_or(0);
    let end = semicolons.iter().find(|end| **end > cursor).copied().unwrap_or(text.len());
    let statement = &text[start..end];
    let at = cursor - start;

    let (mut before, open) = lex(&statement[..at]);
    let is_comment = before.last().is_some_and(|p| p.is_comment() && p.range.end == at);
    before.retain(|p| !p.is_space());
    let (from, word, quote) = word(statement, at, open, &mut before);
    let of = qualifier(&mut before);
    // An open quote would swallow what stands behind the cursor.
    let closed = match quote {
        Some(quote @ ('"' | '\'')) if lex(statement).1.is_some() => {
            format!("{}{quote}{}", &statement[..at], &statement[at..])
        }
        _ => statement.to_string(),
    };
    let (with, names) = scope::with(&closed, at);
    let wanted = match quote {
        _ if is_comment => Wanted::Nothing,
        Some('/') => Wanted::Nothing,
        None if word.starts_with('$') => Wanted::Variable,
        _ => wanted(statement, &before, of, quote == Some('\''), is_table_function),
    };
    Place {
        wanted,
        from: start + from,
        word,
        quote,
        relations: scope::relations(&closed, at),
        aliases: scope::aliases(&closed, at),
        with,
        names,
    }
}

/// Takes the word under the cursor off the tokens.
fn word(
    text: &str,
    at: usize,
    open: Option<usize>,
    before: &mut Vec<Piece>,
) -> (usize, String, Option<char>) {
    if let Some(open) = open {
        let rest = &text[open..at];
        // The tokenizer stops at the quote, whatever stands before it (`E'…`).
        let quote = rest.chars().find(|c| matches!(c, '\'' | '"' | '`' | '/')).unwrap_or('/');
        let begin = open + rest.find(quote).unwrap_or(0);
        return (begin, text[(begin + 1).min(at)..at].to_string(), Some(quote));
    }
    let last = before.last().filter(|p| p.range.end == at);
    let is_word = last.is_some_and(|p| match &p.token {
        Token::Word(w) => w.quote_style.is_none(),
        Token::Placeholder(_) => true,
        _ => false,
    });
    match before.pop_if(|_| is_word) {
        Some(piece) => (piece.range.start, text[piece.range].to_string(), None),
        None => (at, String::new(), None),
    }
}

/// Takes `name.` off the tokens.
fn qualifier(before: &mut Vec<Piece>) -> Option<String> {
    before.pop_if(|p| p.token == Token::Period)?;
    match before.pop()?.token {
        Token::Word(w) => Some(w.value),
        _ => None,
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Clause {
    Start,
    Expression,
    Relation,
    /// The arguments of a table function.
    Arguments,
    /// After GROUP, ORDER, PARTITION: `BY` comes next.
    By,
    Number,
    File,
    /// Words of the grammar only.
    Words,
}

/// One pair of parentheses that the cursor stands in.
struct Level {
    clause: Clause,
    function: Option<String>,
    /// The token after the parenthesis.
    first: usize,
    position: usize,
    given: Vec<String>,
    value_of: Option<String>,
    /// How many brackets of lists are open.
    lists: usize,
}

impl Level {
    fn new(clause: Clause, function: Option<String>, first: usize) -> Self {
        Level { clause, function, first, position: 0, given: vec![], value_of: None, lists: 0 }
    }
}

fn wanted(
    text: &str,
    before: &[Piece],
    of: Option<String>,
    in_quotes: bool,
    is_table_function: &dyn Fn(&str) -> bool,
) -> Wanted {
    let mut levels = vec![Level::new(Clause::Start, None, 0)];
    for (i, piece) in before.iter().enumerate() {
        let previous = i.checked_sub(1).and_then(|i| before.get(i));
        let depth = levels.len();
        let Some(level) = levels.last_mut() else { return Wanted::Nothing };
        match &piece.token {
            Token::LParen => {
                let name = previous.and_then(Piece::name).map(str::to_lowercase);
                let next = match (name, level.clause) {
                    (Some(name), clause)
                        if matches!(clause, Clause::Relation | Clause::Arguments)
                            && is_table_function(&name) =>
                    {
                        Level::new(Clause::Arguments, Some(name), i + 1)
                    }
                    (None, Clause::Relation | Clause::Start | Clause::Arguments | Clause::File) => {
                        Level::new(Clause::Start, None, i + 1)
                    }
                    (name, _) => Level::new(Clause::Expression, name, i + 1),
                };
                levels.push(next);
            }
            Token::RParen if depth > 1 => {
                levels.pop();
            }
            Token::LBracket => level.lists += 1,
            Token::RBracket => level.lists = level.lists.saturating_sub(1),
            Token::Comma if level.lists > 0 => {}
            Token::Comma => {
                level.position += 1;
                level.value_of = None;
            }
            Token::RArrow | Token::Assignment => {
                level.value_of = previous.and_then(Piece::name).map(str::to_lowercase);
                level.given.extend(level.value_of.clone());
            }
            Token::Word(w) if w.quote_style.is_none() => {
                let in_call = level.function.is_some();
                if let Some(clause) = clause(w.keyword, previous, in_call)
                    && (level.clause != Clause::Arguments || w.keyword == Keyword::SELECT)
                {
                    level.clause = clause;
                }
            }
            _ => {}
        }
    }
    let Some(level) = levels.last() else { return Wanted::Nothing };
    let Some(last) = before.last() else {
        return if in_quotes { Wanted::Nothing } else { Wanted::Start };
    };
    let call = || Call {
        function: level.function.clone().unwrap_or_default(),
        position: level.position,
        given: level.given.clone(),
        input: input(text, &before[level.first..]),
    };
    if of.is_some() && level.clause != Clause::Relation {
        return Wanted::Expression { of };
    }
    if in_quotes {
        return match (level.clause, &level.value_of) {
            (Clause::Arguments, Some(parameter)) => Wanted::Value(call(), parameter.clone()),
            (Clause::Arguments | Clause::Relation | Clause::File, _) => Wanted::File,
            _ => Wanted::Nothing,
        };
    }
    let begins = |keyword| before.first().is_some_and(|p| p.is(keyword));
    if last.is(Keyword::IN) && begins(Keyword::ASSERT) && level.clause == Clause::Start {
        return Wanted::Relation;
    }
    let has = |keyword| before.iter().any(|p| p.is(keyword));
    let makes = begins(Keyword::CREATE) && (has(Keyword::TABLE) || has(Keyword::VIEW));
    if last.is(Keyword::AS) && makes && !has(Keyword::SELECT) && !has(Keyword::STORED) {
        return Wanted::Start;
    }
    if last.is(Keyword::AS) || last.is(Keyword::WITH) {
        return Wanted::Nothing;
    }
    match level.clause {
        Clause::Arguments => match (&level.value_of, &last.token) {
            (Some(parameter), Token::RArrow | Token::Assignment | Token::LBracket) => {
                Wanted::Value(call(), parameter.clone())
            }
            (Some(parameter), Token::Comma) if level.lists > 0 => {
                Wanted::Value(call(), parameter.clone())
            }
            (None, Token::LParen | Token::Comma) => Wanted::Argument(call()),
            // A list of columns, a sum of two: the value goes on.
            (Some(_), _) if !ends_operand(before) => Wanted::Expression { of: None },
            _ => Wanted::Nothing,
        },
        Clause::Relation if is_before_join(last) => Wanted::Keyword,
        Clause::Relation if last.token == Token::Comma || lex::is_keyword(last) => Wanted::Relation,
        Clause::Expression if !ends_operand(before) => Wanted::Expression { of },
        Clause::Start if last.token == Token::LParen => Wanted::Start,
        Clause::Number if lex::is_keyword(last) => Wanted::Nothing,
        Clause::File if lex::is_keyword(last) => Wanted::Nothing,
        Clause::Start if last.name().is_some() => Wanted::Nothing,
        _ => Wanted::Keyword,
    }
}

/// `LEFT` and its like, behind which `JOIN` comes.
fn is_before_join(piece: &Piece) -> bool {
    use Keyword::*;
    [LEFT, RIGHT, FULL, INNER, OUTER, CROSS, NATURAL].into_iter().any(|k| piece.is(k))
}

/// What a word makes of what follows it.
fn clause(keyword: Keyword, previous: Option<&Piece>, in_call: bool) -> Option<Clause> {
    use Keyword::*;
    Some(match keyword {
        // `IS DISTINCT FROM`, and `extract(year FROM created)`.
        FROM if in_call || previous.is_some_and(|p| p.is(DISTINCT)) => Clause::Expression,
        FROM | JOIN | INTO | UPDATE | DESCRIBE | TABLE | VIEW | COPY => Clause::Relation,
        SELECT | WHERE | ON | HAVING | BY | QUALIFY | VALUES | CASE | WHEN | THEN | ELSE
        | USING => Clause::Expression,
        GROUP | ORDER | PARTITION => Clause::By,
        LIMIT | OFFSET => Clause::Number,
        TO | LOCATION => Clause::File,
        UNION | INTERSECT | EXCEPT | EXPLAIN | WITH => Clause::Start,
        CREATE | DROP | SHOW | INSERT => Clause::Words,
        _ => return None,
    })
}

/// True when the tokens end in something complete, after which only a word or an operator can come.
fn ends_operand(before: &[Piece]) -> bool {
    let [rest @ .., last] = before else { return false };
    match &last.token {
        Token::Word(_) => {
            !lex::is_keyword(last)
                || [
                    Keyword::END,
                    Keyword::NULL,
                    Keyword::TRUE,
                    Keyword::FALSE,
                    Keyword::ASC,
                    Keyword::DESC,
                ]
                .into_iter()
                .any(|k| last.is(k))
        }
        Token::RParen | Token::RBracket | Token::Number(..) | Token::Placeholder(_) => true,
        Token::SingleQuotedString(_) => true,
        // `SELECT *` is complete, `a *` is not.
        Token::Mul => rest.last().is_none_or(|p| {
            lex::is_keyword(p) || matches!(p.token, Token::Comma | Token::LParen | Token::Period)
        }),
        _ => false,
    }
}

/// The first argument of a call, when it is a relation by position.
fn input(text: &str, arguments: &[Piece]) -> Option<String> {
    let first = arguments.first()?;
    let mut depth = 0;
    let mut end = None;
    for piece in arguments {
        match piece.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            Token::Comma if depth == 0 => break,
            Token::RArrow | Token::Assignment if depth == 0 => return None,
            _ => {}
        }
        end = Some(piece.range.end);
    }
    // Without a comma behind it the first argument is still being typed.
    arguments.iter().any(|p| p.token == Token::Comma).then_some(())?;
    Some(text[first.range.start..end?].to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cursor is `|`.
    fn at(text: &str) -> Place {
        let cursor = text.find('|').expect("a cursor");
        let is_table_function = |name: &str| ["rfm_score", "net_sales", "pareto"].contains(&name);
        place(&text.replacen('|', "", 1), cursor, &is_table_function)
    }

    fn wanted(text: &str) -> Wanted {
        at(text).wanted
    }

    fn expression() -> Wanted {
        Wanted::Expression { of: None }
    }

    #[test]
    fn a_statement_wants_its_parts_in_turn() {
        for (text, expected) in [
            ("|", Wanted::Start),
            ("sel|", Wanted::Start),
            ("SELECT |", expression()),
            ("SELECT a|", expression()),
            ("SELECT a |", Wanted::Keyword),
            ("SELECT * |", Wanted::Keyword),
            ("SELECT a * |", expression()),
            ("SELECT a, |", expression()),
            ("SELECT a AS |", Wanted::Nothing),
            ("SELECT count(|", expression()),
            ("SELECT a FROM |", Wanted::Relation),
            ("SELECT a FROM ord|", Wanted::Relation),
            ("SELECT a FROM orders |", Wanted::Keyword),
            ("SELECT a FROM orders o, |", Wanted::Relation),
            ("SELECT a FROM orders AS o |", Wanted::Keyword),
            ("SELECT a FROM orders JOIN |", Wanted::Relation),
            ("SELECT a FROM orders WHERE |", expression()),
            ("SELECT a FROM orders WHERE a = 1 |", Wanted::Keyword),
            ("SELECT a FROM orders WHERE a = 1 AND |", expression()),
            ("SELECT a FROM orders ORDER |", Wanted::Keyword),
            ("SELECT a FROM orders ORDER BY |", expression()),
            ("SELECT a FROM orders ORDER BY a DESC |", Wanted::Keyword),
            ("SELECT a FROM orders LIMIT |", Wanted::Nothing),
            ("SELECT a FROM (|", Wanted::Start),
            ("SELECT a FROM (SELECT |", expression()),
            ("SELECT 1; SELECT * FROM |", Wanted::Relation),
            ("SELECT extract(year FROM |", expression()),
            ("WITH |", Wanted::Nothing),
            ("WITH a AS (|", Wanted::Start),
            ("COPY (SELECT 1) TO '|", Wanted::File),
            ("SELECT * FROM 'da|", Wanted::File),
            ("SELECT * FROM t WHERE a = 'x|", Wanted::Nothing),
            ("SELECT 1 -- wh|", Wanted::Nothing),
            ("SELECT /* wh|", Wanted::Nothing),
            ("SELECT $d|", Wanted::Variable),
            ("DESCRIBE |", Wanted::Relation),
            ("SELECT a FROM orders o LEFT |", Wanted::Keyword),
            ("SELECT a FROM orders o FULL OUTER J|", Wanted::Keyword),
            ("CREATE TABLE x AS S|", Wanted::Start),
            ("CREATE VIEW x AS SELECT a AS |", Wanted::Nothing),
            ("CREATE EXTERNAL TABLE x STORED AS |", Wanted::Nothing),
            ("ASSERT NO ROWS IN check_u|", Wanted::Relation),
        ] {
            assert_eq!(wanted(text), expected, "{text}");
        }
    }

    #[test]
    fn a_table_function_wants_its_arguments() {
        let call = |position, given: &[&str], input: Option<&str>| Call {
            function: "rfm_score".into(),
            position,
            given: given.iter().map(ToString::to_string).collect(),
            input: input.map(str::to_string),
        };
        assert_eq!(wanted("SELECT * FROM rfm_score(ord|"), Wanted::Argument(call(0, &[], None)));
        assert_eq!(
            wanted("SELECT * FROM rfm_score(orders, k|"),
            Wanted::Argument(call(1, &[], Some("orders")))
        );
        assert_eq!(
            wanted("SELECT * FROM rfm_score(orders, k => 5, met|)"),
            Wanted::Argument(call(2, &["k"], Some("orders")))
        );
        let list = call(1, &["k"], Some("orders"));
        for text in ["[cou|", "[a, cou|"] {
            assert_eq!(
                wanted(&format!("SELECT * FROM rfm_score(orders, k => {text}")),
                Wanted::Value(list.clone(), "k".into()),
                "{text}"
            );
        }
        let method = call(1, &["method"], Some("'a.csv'"));
        for text in ["method => |", "method => 'qu|", "method := |"] {
            assert_eq!(
                wanted(&format!("SELECT * FROM rfm_score('a.csv', {text}")),
                Wanted::Value(method.clone(), "method".into()),
                "{text}"
            );
        }
        assert_eq!(wanted("SELECT * FROM rfm_score('da|"), Wanted::File);
        assert_eq!(
            wanted("SELECT * FROM rfm_score(net_sales(|"),
            Wanted::Argument(Call { function: "net_sales".into(), ..Call::default() })
        );
        assert_eq!(wanted("SELECT * FROM rfm_score((|"), Wanted::Start);
        assert_eq!(wanted("SELECT * FROM rfm_score(orders) |"), Wanted::Keyword);
    }

    #[test]
    fn the_word_and_its_qualifier_are_cut_at_the_cursor() {
        let place = at("SELECT o.net| FROM orders o");
        assert_eq!((place.from, place.word.as_str()), (9, "net"));
        assert_eq!(place.wanted, Wanted::Expression { of: Some("o".into()) });
        let place = at("SELECT \"Inv| FROM t");
        assert_eq!((place.from, place.word.as_str(), place.quote), (7, "Inv", Some('"')));
        let place = at("SELECT * FROM 'data/é|");
        assert_eq!((place.from, place.word.as_str(), place.quote), (14, "data/é", Some('\'')));
    }

    #[test]
    fn any_cut_of_a_statement_is_taken() {
        let text = "WITH a AS (SELECT 'é' FROM rfm_score('x', k => 5)) SELECT \"É\".b, $p FROM a; /* é */ COPY t TO 'é'";
        for cursor in (0..=text.len()).filter(|i| text.is_char_boundary(*i)) {
            let place = place(text, cursor, &|name| name == "rfm_score");
            assert!(
                place.from <= cursor && text.is_char_boundary(place.from),
                "{cursor}: {place:?}"
            );
        }
    }
}
