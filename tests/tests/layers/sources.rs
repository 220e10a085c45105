//! The sources of a crate, read: which module names which other one, and where.
//!
//! Modules are followed from the roots by their `mod` lines. What is only compiled for tests (`#[cfg(test)]`) is left
//! out, and so are comments: a page of documentation may point anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use proc_macro2::{Span, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, UseTree};

/// Files below `src`, by their paths there.
pub(crate) type Sources = BTreeMap<String, String>;

/// One module names another one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Arrow {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) from: String,
    /// A module, or `*`: all of them.
    pub(crate) to: String,
}

/// What has been read of a crate.
#[derive(Debug, Default)]
pub(crate) struct Modules {
    pub(crate) names: BTreeSet<String>,
    pub(crate) arrows: BTreeSet<Arrow>,
}

/// All Rust files below the folder.
pub(crate) fn load(src: &Path) -> anyhow::Result<Sources> {
    let (mut sources, mut folders) = (Sources::new(), vec![src.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().with_context(|| format!("cannot read {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(src)?.to_string_lossy().into_owned();
                sources.insert(name, std::fs::read_to_string(&path)?);
            }
        }
    }
    Ok(sources)
}

/// Reads the library and the programs. `crate_name` is the name by which programs know the library.
pub(crate) fn read(sources: &Sources, crate_name: &str) -> anyhow::Result<Modules> {
    let mut modules = Modules::default();
    Reader::start(sources, "lib.rs", "crate", &mut modules)?;
    for program in sources.keys().filter(|name| *name == "main.rs" || name.starts_with("bin/")) {
        modules.names.insert(program.clone());
        Reader::start(sources, program, crate_name, &mut modules)?;
    }
    Ok(modules)
}

/// Reads one file after another, beginning with a root.
struct Reader<'a> {
    sources: &'a Sources,
    modules: &'a mut Modules,
    /// A program is one module, whatever it is divided into.
    program: Option<String>,
    /// The first word of a path to the library's modules.
    crate_name: &'a str,
    file: String,
    /// The modules down to where we are.
    module: Vec<String>,
    error: Option<anyhow::Error>,
}

impl<'a> Reader<'a> {
    fn start(
        sources: &'a Sources,
        root: &str,
        crate_name: &'a str,
        modules: &'a mut Modules,
    ) -> anyhow::Result<()> {
        let program = (root != "lib.rs").then(|| root.to_owned());
        let mut reader = Self {
            sources,
            modules,
            program,
            crate_name,
            file: String::new(),
            module: Vec::new(),
            error: None,
        };
        reader.read(root)
    }

    fn read(&mut self, file: &str) -> anyhow::Result<()> {
        let text = self.sources.get(file).with_context(|| format!("there is no {file}"))?;
        let parsed = syn::parse_file(text).with_context(|| format!("{file} is not Rust"))?;
        let outer = std::mem::replace(&mut self.file, file.to_owned());
        self.visit_file(&parsed);
        self.file = outer;
        self.error.take().map_or(Ok(()), Err)
    }

    fn read_module(&mut self, item: &syn::ItemMod) -> anyhow::Result<()> {
        let moved = item.attrs.iter().any(|attribute| attribute.path().is_ident("path"));
        ensure!(!moved, "{}: #[path] of module {} cannot be followed", self.file, item.ident);
        let at = self.module.join("/");
        let found = [format!("{at}.rs"), format!("{at}/mod.rs")];
        match found.iter().find(|file| self.sources.contains_key(*file)) {
            Some(file) => self.read(file),
            None => bail!("{}: there is no file for its module {}", self.file, item.ident),
        }
    }

    /// Notes where a path leads to, if that is another module of the library.
    fn note<'p>(&mut self, path: impl IntoIterator<Item = &'p str>, at: Span) {
        let Some(target) = self.resolve(path) else { return };
        let from = self.program.as_ref().or(self.module.first());
        let to = target.first().map_or("*", String::as_str);
        if let Some(from) = from.filter(|from| *from != to) {
            let (from, to, file) = (from.clone(), to.to_owned(), self.file.clone());
            self.modules.arrows.insert(Arrow { file, line: at.start().line, from, to });
        }
    }

    /// The path from the library's root; none if it does not lead through it.
    fn resolve<'p>(&self, path: impl IntoIterator<Item = &'p str>) -> Option<Vec<String>> {
        let mut path = path.into_iter().peekable();
        let first = *path.peek()?;
        let mut absolute = match first {
            _ if first == self.crate_name => Vec::new(),
            "self" | "super" if self.program.is_none() => self.module.clone(),
            _ => return None,
        };
        for (at, word) in path.enumerate() {
            match word {
                "super" => drop(absolute.pop()),
                "self" => {}
                _ if at == 0 => {}
                _ => absolute.push(word.to_owned()),
            }
        }
        Some(absolute)
    }

    fn note_use(&mut self, tree: &UseTree, above: &[String]) {
        let mut path = above.to_vec();
        let at = match tree {
            UseTree::Path(inner) => {
                path.push(inner.ident.to_string());
                return self.note_use(&inner.tree, &path);
            }
            UseTree::Group(group) => return group.items.iter().for_each(|tree| self.note_use(tree, &path)),
            UseTree::Name(name) => &name.ident,
            UseTree::Rename(rename) => &rename.ident,
            UseTree::Glob(glob) => {
                path.push("*".to_owned());
                return self.note(path.iter().map(String::as_str), glob.star_token.spans[0]);
            }
        };
        path.push(at.to_string());
        self.note(path.iter().map(String::as_str), at.span());
    }

    /// Macros and attributes are not syntax yet: their paths are words with `::` between them, or texts.
    fn note_tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token {
                TokenTree::Group(group) => self.note_tokens(group.stream()),
                TokenTree::Ident(first) => {
                    let mut path = vec![first.to_string()];
                    while is_colon(tokens.get(at)) && is_colon(tokens.get(at + 1)) {
                        match tokens.get(at + 2) {
                            Some(TokenTree::Ident(word)) => path.push(word.to_string()),
                            _ => path.push("*".to_owned()),
                        }
                        at += 3;
                    }
                    if path.len() > 1 {
                        self.note(path.iter().map(String::as_str), first.span());
                    }
                }
                // As in #[serde(with = "crate::a::b")].
                TokenTree::Literal(literal) => {
                    let text = literal.to_string();
                    if text.contains("::") {
                        self.note(text.trim_matches('"').split("::"), literal.span());
                    }
                }
                TokenTree::Punct(_) => {}
            }
        }
    }
}

fn is_colon(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == ':')
}

/// `#[cfg(test)]` or `#[cfg(all(test, ..))]`.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cfg")).any(|attribute| {
        let Ok(list) = attribute.meta.require_list() else { return false };
        let condition: String = list.tokens.to_string().split_whitespace().collect();
        condition == "test" || condition.starts_with("all(test,")
    })
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if is_test(&item.attrs) || self.error.is_some() {
            return;
        }
        if self.module.is_empty() && self.program.is_none() {
            self.modules.names.insert(item.ident.to_string());
        }
        self.module.push(item.ident.to_string());
        if item.content.is_some() {
            visit::visit_item_mod(self, item);
        } else if let Err(error) = self.read_module(item) {
            self.error = Some(error);
        }
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_test(&item.attrs) && item.leading_colon.is_none() {
            self.note_use(&item.tree, &[]);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if !is_test(&item.attrs) {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if let Some(first) = path.segments.first().filter(|_| path.leading_colon.is_none()) {
            let words: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            if words.len() > 1 {
                self.note(words.iter().map(String::as_str), first.ident.span());
            }
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        self.visit_path(&called.path);
        self.note_tokens(called.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if attribute.path().is_ident("doc") {
            return;
        }
        if let Ok(list) = attribute.meta.require_list() {
            self.note_tokens(list.tokens.clone());
        }
    }

    /// `pub(in crate::a)` names where we are.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}
}
