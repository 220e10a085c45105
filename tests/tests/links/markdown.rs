//! What GitHub makes of a page's text: its links, and the anchors of its headings.

use std::collections::{BTreeMap, BTreeSet};

/// A link, as it is written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) target: String,
}

/// The links and images of a page, those in code left out: `[text](target)` and `[label]: target`.
pub(crate) fn links(page: &str) -> Vec<Link> {
    let text = without_spans(&without_fences(page));
    let inline = text.match_indices("](").map(|(at, found)| (at, inline_target(&text[at + found.len()..])));
    let inline = inline.map(|(at, target)| (text[..at].matches('\n').count() + 1, target));
    let defined = text.lines().enumerate();
    let defined = defined.filter_map(|(index, line)| Some((index + 1, definition(line)?)));
    let link = |(line, target): (usize, &str)| Link { line, target: target.to_owned() };
    let mut links: Vec<Link> = inline.chain(defined).map(link).collect();
    links.sort_by_key(|link| link.line);
    links
}

/// The anchors of a page's headings, as GitHub names them.
pub(crate) fn anchors(page: &str) -> BTreeSet<String> {
    let text = without_fences(page);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for heading in text.lines().filter_map(heading) {
        let base = slug(&without_targets(heading));
        let mut anchor = base.clone();
        // The second of two equal headings gets -1, the third -2, unless a heading has that name by itself.
        while counts.contains_key(&anchor) {
            let count = counts.entry(base.clone()).or_default();
            *count += 1;
            anchor = format!("{base}-{count}");
        }
        counts.insert(anchor, 0);
    }
    counts.into_keys().collect()
}

/// Small letters, digits, `_` and `-`; spaces become `-`, everything else goes.
fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|&each| each.is_alphanumeric() || matches!(each, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|each| if each == ' ' { '-' } else { each }).collect()
}

/// A heading's text (CommonMark 4.2, "ATX headings").
fn heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    let is_heading = (1..=6).contains(&level) && text.starts_with(' ');
    is_heading.then(|| text.trim_end().trim_end_matches('#').trim())
}

/// A heading without the targets of its links, which are not shown.
fn without_targets(heading: &str) -> String {
    let mut parts = heading.split("](");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        shown.push_str(&part[inline_target(part).len()..]);
    }
    shown
}

/// What `(` opens: up to white space or the `)` that closes it.
fn inline_target(text: &str) -> &str {
    let mut depth = 0_usize;
    let end = text.find(|each: char| match each {
        '(' => {
            depth += 1;
            false
        }
        ')' if depth > 0 => {
            depth -= 1;
            false
        }
        _ => each == ')' || each.is_whitespace(),
    });
    &text[..end.unwrap_or(text.len())]
}

/// The target of `[label]: target` (CommonMark 4.7, "Link reference definitions").
fn definition(line: &str) -> Option<&str> {
    let (_, target) = line.trim_start().strip_prefix('[')?.split_once("]: ")?;
    target.split_whitespace().next()
}

/// The page with the lines of its fenced code blocks empty (CommonMark 4.5).
fn without_fences(page: &str) -> String {
    let mut open: Option<&str> = None;
    let mut text = String::with_capacity(page.len());
    for line in page.lines() {
        match (open, fence(line)) {
            (None, None) => text.push_str(line),
            (None, Some(opening)) => open = Some(opening),
            (Some(opening), Some(closing)) if closes(opening, closing, line) => open = None,
            (Some(_), _) => {}
        }
        text.push('\n');
    }
    text
}

/// The back quotes or tildes that a line begins with, if they are a fence.
fn fence(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let run = |mark: char| &line[..line.len() - line.trim_start_matches(mark).len()];
    let fence = [run('`'), run('~')].into_iter().find(|run| run.len() >= 3)?;
    // Back quotes after back quotes: a code span at the beginning of a line.
    let is_span = fence.starts_with('`') && line[fence.len()..].contains('`');
    (!is_span).then_some(fence)
}

fn closes(opening: &str, closing: &str, line: &str) -> bool {
    closing.starts_with(opening) && line.trim() == closing
}

/// The text with its code spans blank (CommonMark 6.1): back quotes, up to as many within the paragraph.
fn without_spans(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('`') {
        let (before, quoted) = rest.split_at(at);
        kept.push_str(before);
        let quotes = quoted.len() - quoted.trim_start_matches('`').len();
        let (span, after) = quoted.split_at(span_end(quoted, quotes).unwrap_or(quotes));
        kept.extend(span.chars().map(|each| if each == '\n' { '\n' } else { ' ' }));
        rest = after;
    }
    kept + rest
}

/// Where the code span ends that begins with so many back quotes.
fn span_end(text: &str, quotes: usize) -> Option<usize> {
    let paragraph = &text[..text.find("\n\n").unwrap_or(text.len())];
    let mut from = quotes;
    loop {
        let start = from + paragraph.get(from..)?.find('`')?;
        let run = paragraph[start..].len() - paragraph[start..].trim_start_matches('`').len();
        from = start + run;
        if run == quotes {
            return Some(from);
        }
    }
}
