/** Each part of the executable has its notice, with the version that it contains. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { licenses, parts } from "../../src/cli/licenses.ts";

const read = (path: string) => readFileSync(join(import.meta.dir, "../..", path), "utf8");
const versions = new Map(parts.map(({ name, version }) => [name, version]));
const bunNotices = read("src/cli/licenses/bun.txt");

interface Lock {
  workspaces: Record<"", { dependencies: Record<string, string> }>;
  packages: Record<string, [named: string, registry: string, more: { dependencies?: Record<string, string> }]>;
}

/** Name and version of each package of bun.lock that the program needs at run time. */
function bundled(): string[] {
  const lock = JSON.parse(read("bun.lock").replace(/,(?=\s*[}\]])/g, "")) as Lock;
  const names = new Set(Object.keys(lock.workspaces[""].dependencies));
  // Names that are added on the way are visited too.
  for (const name of names) {
    for (const other of Object.keys(lock.packages[name]![2].dependencies ?? {})) names.add(other);
  }
  return [...names].map((name) => lock.packages[name]![0]);
}

test("the parts are the packages of bun.lock that are bundled, the embedded libpcap and the pinned Bun", () => {
  const libpcap = /^libpcap (\S+),/.exec(read("src/capture/libpcap/VERSION"))![1];
  const want = [...bundled(), `libpcap@${libpcap}`, JSON.parse(read("package.json")).packageManager];
  expect(parts.map(({ name, version }) => `${name.toLowerCase()}@${version}`).sort()).toEqual(want.sort());
});

test("each part's notices stand below its name and version", () => {
  const sections = licenses().split(/^──── (.*) ────$/m);
  const titles = sections.filter((_, i) => i % 2 === 1);
  expect(titles).toEqual(parts.map(({ name, version }) => `${name} ${version}`));
  for (let i = 2; i < sections.length; i += 2) expect(sections[i]).toMatch(/copyright/i);
});

test("the packages' notices are the ones that the packages contain", () => {
  for (const path of ["citty/LICENSE", "citty/dist/THIRD-PARTY-LICENSES.md", "consola/LICENSE"]) {
    expect(licenses()).toContain(read(`node_modules/${path}`).trimEnd());
  }
  expect(licenses()).toContain(read("src/capture/libpcap/LICENSE").trimEnd());
});

/** Bun's own names of its parts, and their names in the notices. */
const libraries: Record<string, string> = {
  ares: "c-ares: ",
  boringssl: "BoringSSL: ",
  icu: "ICU 78",
  libarchive: "libarchive",
  libdeflate: "libdeflate: ",
  llhttp: "llhttp: ",
  lolhtml: "lol-html: ",
  lshpack: "ls-hpack: ",
  mimalloc: "mimalloc: ",
  picohttpparser: "picohttpparser: ",
  sqlite: "SQLite is in the public domain",
  tinycc: `tinycc (commit ${process.versions["tinycc"]})`,
  usockets: "uSockets, ",
  uwebsockets: "uWebSockets: ",
  webkit: `WebKit (commit ${process.versions["webkit"]})`,
  zlib: "zlib-ng: ",
  zstd: "zstd: ",
};
/** Bun's compatibility targets, its compilers, and Bun itself. */
const NO_LIBRARIES = ["bun", "modules", "napi", "node", "openssl", "unicode", "uv", "v8", "zig"];

test("the pinned Bun's notices name each library that Bun lists", () => {
  expect(bunNotices).toStartWith(`Bun ${versions.get("Bun")}, `);
  expect(Object.keys(process.versions).sort()).toEqual([...Object.keys(libraries), ...NO_LIBRARIES].sort());
  const flowing = bunNotices.replace(/\s+/g, " ");
  for (const name of Object.values(libraries)) expect(flowing).toContain(name);
});

// Not in process.versions, but in Bun's list of linked libraries.
const linked = "brotli highway libbase64 libjpeg-turbo libspng libwebp ls-qpack lsquic simdutf".split(" ");

// The polyfills of Bun's LICENSE.md.
const polyfills =
  "acorn acorn-walk assert browserify-zlib buffer constants-browserify crypto-browserify domain-browser events " +
  "https-browserify os-browserify path-browserify process punycode querystring-es3 stream-browserify stream-http " +
  "string_decoder timers-browserify tty-browserify url util vm-browserify";

test.each([...linked, ...polyfills.split(" ")])("%s has a notice", (name) => {
  expect(bunNotices).toMatch(new RegExp(`^ *${name}(:|$)`, "m"));
});

test("holders are named as they name themselves: in a copyright notice, or in their files", () => {
  const sections = bunNotices.split(/^=+$/m).slice(1);
  const entries = sections.flatMap((section) => {
    // The title, then one name of the licensed parts a line; a name may go on in the next line.
    const [, names = ""] = /^\n[^\n]+\n\n((?: {2}[^\n]*\n)+)\n/.exec(section) ?? [];
    return names
      .replace(/\n {4}/g, " ")
      .split("\n")
      .filter((line) => /^[^(:]+(\([^)]*\))?: /.test(line));
  });
  expect(entries.length).toBeGreaterThan(100);
  const isListOfNames = (entry: string) => /^ {2}(Rust packages|WebKit, JavaScriptCore, in parts)/.test(entry);
  const isTheirOwn = (entry: string) => /copyright|\(c\)|©|: ".*"/i.test(entry);
  expect(entries.filter((entry) => !isListOfNames(entry) && !isTheirOwn(entry))).toEqual([]);
});

const titles: string[] = [
  "Apache License\n",
  "Mozilla Public License Version 2.0\n",
  "GNU LIBRARY GENERAL PUBLIC LICENSE\n",
  "GNU LESSER GENERAL PUBLIC LICENSE\n",
  "UNICODE LICENSE V3\n",
  "The Artistic License 2.0\n",
  "Permission is hereby granted, free of charge, ",
];

test.each(titles)("a licence that several have stands there once: %j", (title) => {
  const said = bunNotices.split(/^=+$/m).filter((section) => section.includes(title));
  expect(said.length).toBeGreaterThan(0);
  const texts = said.map((section) => section.slice(section.indexOf(title)).replace(/\W+/g, ""));
  expect(new Set(texts).size).toBe(texts.length);
});
