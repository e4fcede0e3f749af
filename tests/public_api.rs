//! The public surface of each crate, a line an item, as `tests/api/CRATE.txt` keeps it: a change of interface is a change of
//! such a file. It is read from the source and not from the compiler, so that any toolchain gives the same: what macros
//! make, and traits that the compiler adds by itself, are not in it.
use quote::ToTokens;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use syn::{Attribute, Fields, ImplItem, Item, Signature, TraitItem, Type, UseTree, Visibility};

/// Where the listings are written instead of compared.
const WRITE: &str = "UDAS_WRITE_DOCS";

#[test]
fn the_public_surface_is_the_one_that_is_kept() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut crates: Vec<PathBuf> = std::fs::read_dir(root.join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|folder| folder.join("src/lib.rs").exists())
        .collect();
    crates.sort();
    assert!(crates.len() > 15, "{crates:?}");
    let mut changed = Vec::new();
    for folder in crates {
        let name = format!("udas-{}", folder.file_name().unwrap().to_string_lossy());
        let lines = Crate::read(&folder.join("src/lib.rs")).listing();
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let kept = root.join(format!("tests/api/{name}.txt"));
        if std::env::var_os(WRITE).is_some() && !text.is_empty() {
            std::fs::create_dir_all(kept.parent().unwrap()).unwrap();
            std::fs::write(&kept, &text).unwrap();
        }
        let before = std::fs::read_to_string(&kept).unwrap_or_default();
        let before: BTreeSet<String> = before.lines().map(str::to_owned).collect();
        let gone = before.difference(&lines).map(|line| format!("{name}: - {line}"));
        changed.extend(gone.chain(lines.difference(&before).map(|l| format!("{name}: + {l}"))));
    }
    assert!(
        changed.is_empty(),
        "interfaces have changed:\n{}\nif that is meant: {WRITE}=1 cargo test --workspace --test public_api",
        changed.join("\n")
    );
}

/// A crate's modules by path, the root's is empty.
struct Crate {
    modules: BTreeMap<Vec<String>, Vec<Item>>,
}

impl Crate {
    fn read(file: &Path) -> Self {
        let mut all = Self { modules: BTreeMap::new() };
        all.add(Vec::new(), parse(file), file.parent().unwrap());
        all
    }

    /// Adds a module whose own modules lie in `folder`.
    fn add(&mut self, path: Vec<String>, items: Vec<Item>, folder: &Path) {
        for item in &items {
            let Item::Mod(module) = item else { continue };
            if is_test(&module.attrs) {
                continue;
            }
            let name = module.ident.to_string();
            let inner = [path.clone(), vec![name.clone()]].concat();
            let beside = folder.join(format!("{name}.rs"));
            let items = match &module.content {
                Some((_, items)) => items.clone(),
                None if beside.exists() => parse(&beside),
                None => parse(&folder.join(&name).join("mod.rs")),
            };
            self.add(inner, items, &folder.join(&name));
        }
        self.modules.insert(path, items);
    }

    fn listing(&self) -> BTreeSet<String> {
        let mut lines = BTreeSet::new();
        let mut types = BTreeSet::new();
        self.list_module(&[], "", &mut lines, &mut types);
        for items in self.modules.values() {
            items.iter().for_each(|item| list_impl(item, &types, &mut lines));
        }
        lines
    }

    /// What a module shows, `shown` before each name.
    fn list_module(
        &self,
        path: &[String],
        shown: &str,
        lines: &mut BTreeSet<String>,
        types: &mut BTreeSet<String>,
    ) {
        for item in self.modules.get(path).into_iter().flatten() {
            match item {
                Item::Use(item) if is_public(&item.vis) => {
                    self.list_use(path, Vec::new(), &item.tree, shown, lines, types);
                }
                _ => self.list_item(path, item, None, shown, lines, types),
            }
        }
    }

    fn list_use(
        &self,
        at: &[String],
        mut before: Vec<String>,
        tree: &UseTree,
        shown: &str,
        lines: &mut BTreeSet<String>,
        types: &mut BTreeSet<String>,
    ) {
        let (name, renamed) = match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                return self.list_use(at, before, &path.tree, shown, lines, types);
            }
            UseTree::Group(group) => {
                let each = group.items.iter();
                return each.for_each(|tree| {
                    self.list_use(at, before.clone(), tree, shown, lines, types);
                });
            }
            UseTree::Name(name) => (name.ident.to_string(), None),
            UseTree::Rename(name) => (name.ident.to_string(), Some(name.rename.to_string())),
            UseTree::Glob(_) => ("*".to_owned(), None),
        };
        let Some(module) = self.resolve(at, &before) else {
            let path = [before, vec![name]].concat().join("::");
            lines.insert(format!("pub use {shown}{path}"));
            return;
        };
        if name == "*" {
            return self.list_module(&module, shown, lines, types);
        }
        let inner = [module.clone(), vec![name.clone()]].concat();
        let as_name = renamed.unwrap_or_else(|| name.clone());
        if self.modules.contains_key(&inner) {
            self.list_module(&inner, &format!("{shown}{as_name}::"), lines, types);
        }
        for item in &self.modules[&module] {
            match item {
                // Shown on from where it is shown itself.
                Item::Use(item) if is_visible(&item.vis) => {
                    if let Some(tree) = leaf(&item.tree, &name) {
                        self.list_use(&module, Vec::new(), &tree, shown, lines, types);
                    }
                }
                _ if name_of(item).as_deref() == Some(&name) => {
                    self.list_item(&module, item, Some(&as_name), shown, lines, types);
                }
                _ => {}
            }
        }
    }

    /// The module that a path leads to from `at`; none where it leads out of the crate.
    fn resolve(&self, at: &[String], path: &[String]) -> Option<Vec<String>> {
        let mut place = at.to_vec();
        for (number, part) in path.iter().enumerate() {
            match part.as_str() {
                "crate" => place.clear(),
                "self" => {}
                "super" => drop(place.pop()),
                name => {
                    place.push(name.to_owned());
                    if !self.modules.contains_key(&place) {
                        assert!(number == 0 || path[0] != "crate", "{path:?} leads nowhere");
                        return None;
                    }
                }
            }
        }
        Some(place)
    }

    fn list_item(
        &self,
        path: &[String],
        item: &Item,
        name: Option<&str>,
        shown: &str,
        lines: &mut BTreeSet<String>,
        types: &mut BTreeSet<String>,
    ) {
        // An item that is asked for by name is shown; others are where they are public themselves.
        if !(visibility(item).is_some_and(is_public) || is_exported(item))
            || is_test(attributes(item))
        {
            return;
        }
        let own = name_of(item).unwrap_or_default();
        let place = format!("{shown}{}", name.unwrap_or(&own));
        let derived = derives(attributes(item));
        let mut add = |line: String| {
            lines.insert(line);
        };
        match item {
            Item::Mod(_) => {
                let inner = [path.to_vec(), vec![own]].concat();
                add(format!("pub mod {place}"));
                self.list_module(&inner, &format!("{place}::"), lines, types);
            }
            Item::Fn(item) => add(format!("pub {}", signature(&item.sig, &place))),
            Item::Const(item) => add(format!("pub const {place}: {}", text(&item.ty))),
            Item::Static(item) => add(format!("pub static {place}: {}", text(&item.ty))),
            Item::Type(item) => {
                let generics = text(&item.generics);
                add(format!("pub type {place}{generics} = {}", text(&item.ty)));
            }
            Item::Macro(_) => add(format!("macro {place}!")),
            Item::Struct(item) => {
                types.insert(own);
                let generics = generics(&item.generics);
                add(format!("pub struct {place}{generics}{}{derived}", shape(&item.fields)));
                list_fields(&place, &item.fields, lines);
            }
            Item::Enum(item) => {
                types.insert(own);
                add(format!("pub enum {place}{}{derived}", generics(&item.generics)));
                for variant in &item.variants {
                    let fields = match &variant.fields {
                        Fields::Unit => String::new(),
                        fields => format!(" {}", text(&without_attributes(fields))),
                    };
                    add(format!("{place}::{}{fields}", variant.ident));
                }
            }
            Item::Trait(item) => {
                types.insert(own);
                let bounds = text(&item.supertraits);
                let colon = if bounds.is_empty() { "" } else { ": " };
                let generics = generics(&item.generics);
                add(format!("pub trait {place}{generics}{colon}{bounds}"));
                for inner in &item.items {
                    match inner {
                        TraitItem::Fn(item) => {
                            let given = if item.default.is_some() { " (provided)" } else { "" };
                            let name = format!("{place}::{}", item.sig.ident);
                            add(format!("{}{given}", signature(&item.sig, &name)));
                        }
                        TraitItem::Const(item) => {
                            add(format!("const {place}::{}: {}", item.ident, text(&item.ty)));
                        }
                        TraitItem::Type(item) => add(format!("type {place}::{}", item.ident)),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
}

/// What an `impl` adds to types or traits that are shown.
fn list_impl(item: &Item, types: &BTreeSet<String>, lines: &mut BTreeSet<String>) {
    let Item::Impl(item) = item else { return };
    if is_test(&item.attrs) {
        return;
    }
    let of = |ty: &Type| match ty {
        Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
        _ => None,
    };
    let is_shown = |name: Option<String>| name.is_some_and(|name| types.contains(&name));
    let own = text(&item.self_ty);
    let generics = generics(&item.generics);
    if let Some((_, of_trait, _)) = &item.trait_ {
        let name = of_trait.segments.last().map(|segment| segment.ident.to_string());
        if is_shown(of(&item.self_ty)) || is_shown(name) {
            lines.insert(format!("impl{generics} {} for {own}", text(of_trait)));
        }
        return;
    }
    if !is_shown(of(&item.self_ty)) {
        return;
    }
    for inner in &item.items {
        match inner {
            ImplItem::Fn(item) if is_public(&item.vis) && !is_test(&item.attrs) => {
                let name = format!("{own}::{}", item.sig.ident);
                lines.insert(format!("pub {}", signature(&item.sig, &name)));
            }
            ImplItem::Const(item) if is_public(&item.vis) => {
                lines.insert(format!("pub const {own}::{}: {}", item.ident, text(&item.ty)));
            }
            _ => {}
        }
    }
}

fn list_fields(place: &str, fields: &Fields, lines: &mut BTreeSet<String>) {
    for (number, field) in fields.iter().enumerate().filter(|(_, field)| is_public(&field.vis)) {
        let name = field.ident.as_ref().map_or(number.to_string(), ToString::to_string);
        lines.insert(format!("pub {place}::{name}: {}", text(&field.ty)));
    }
}

/// Whether a struct can be made from outside by naming its fields.
fn shape(fields: &Fields) -> &'static str {
    let is_open = fields.iter().all(|field| is_public(&field.vis));
    if is_open { "" } else { " (private fields)" }
}

fn parse(file: &Path) -> Vec<Item> {
    let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display())).items
}

/// The part of a use tree that brings `name` in, as a tree of its own.
fn leaf(tree: &UseTree, name: &str) -> Option<UseTree> {
    match tree {
        UseTree::Path(path) => {
            let inner = Box::new(leaf(&path.tree, name)?);
            Some(UseTree::Path(syn::UsePath { tree: inner, ..path.clone() }))
        }
        UseTree::Group(group) => group.items.iter().find_map(|tree| leaf(tree, name)),
        UseTree::Name(found) => (found.ident == name).then(|| tree.clone()),
        UseTree::Rename(found) => (found.rename == name).then(|| tree.clone()),
        UseTree::Glob(_) => None,
    }
}

fn visibility(item: &Item) -> Option<&Visibility> {
    match item {
        Item::Const(item) => Some(&item.vis),
        Item::Enum(item) => Some(&item.vis),
        Item::Fn(item) => Some(&item.vis),
        Item::Mod(item) => Some(&item.vis),
        Item::Static(item) => Some(&item.vis),
        Item::Struct(item) => Some(&item.vis),
        Item::Trait(item) => Some(&item.vis),
        Item::Type(item) => Some(&item.vis),
        _ => None,
    }
}

fn name_of(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Mod(item) => &item.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        _ => return None,
    };
    Some(ident.to_string())
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        _ => &[],
    }
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn is_visible(visibility: &Visibility) -> bool {
    !matches!(visibility, Visibility::Inherited)
}

fn is_exported(item: &Item) -> bool {
    attributes(item).iter().any(|attribute| attribute.path().is_ident("macro_export"))
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg") && text(&attribute.meta).contains("(test")
    })
}

/// Derives and `non_exhaustive`, which callers rely on.
fn derives(attributes: &[Attribute]) -> String {
    let counts = |attribute: &&Attribute| {
        ["derive", "non_exhaustive"].iter().any(|name| attribute.path().is_ident(name))
    };
    attributes.iter().filter(counts).map(|attribute| format!(" {}", text(attribute))).collect()
}

fn without_attributes(fields: &Fields) -> Fields {
    let mut fields = fields.clone();
    fields.iter_mut().for_each(|field| field.attrs.clear());
    fields
}

fn generics(generics: &syn::Generics) -> String {
    let where_clause = generics.where_clause.as_ref().map(|clause| format!(" {}", text(clause)));
    text(generics) + &where_clause.unwrap_or_default()
}

/// `fn` and all that belongs to it, under another name.
fn signature(signature: &Signature, name: &str) -> String {
    let mut plain = signature.clone();
    plain.inputs.iter_mut().for_each(|input| match input {
        syn::FnArg::Receiver(input) => input.attrs.clear(),
        syn::FnArg::Typed(input) => input.attrs.clear(),
    });
    plain.ident = syn::Ident::new("NAME", signature.ident.span());
    text(&plain).replacen("NAME", name, 1)
}

/// Tokens as one writes them.
fn text(tokens: &impl ToTokens) -> String {
    let mut text = tokens.to_token_stream().to_string().replace('\n', " ");
    for (from, to) in [
        (" :: ", "::"),
        (":: ", "::"),
        (" ::", "::"),
        (" < ", "<"),
        ("< ", "<"),
        (" <", "<"),
        (" >", ">"),
        (" ,", ","),
        (",)", ")"),
        (" : ", ": "),
        (" :", ":"),
        ("& ", "&"),
        (" (", "("),
        ("( ", "("),
        (" )", ")"),
        ("[ ", "["),
        (" ]", "]"),
        (" ;", ";"),
        ("# [", "#["),
        ("->(", "-> ("),
        ("=(", "= ("),
        (",(", ", ("),
        ("? ", "?"),
        ("{ ", "{ "),
        (", >", ">"),
        (", )", ")"),
        (", }", " }"),
        ("dyn(", "dyn ("),
    ] {
        text = text.replace(from, to);
    }
    text
}
