/** The program never overwrites a file with another purpose: a lost capture cannot be made again. */
import { afterAll, expect, test } from "bun:test";
import { linkSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { refuseSharedFiles } from "../../src/run/own-files.ts";
import { TemporaryDirectory } from "../executable/program.ts";

const directory = new TemporaryDirectory();
afterAll(() => directory[Symbol.dispose]());

const capture = directory.file("mirror.0.pcapng", "frames");
const key = directory.file("key.pem", "key");
const inDirectory = (name: string) => join(directory.path, name);
linkSync(capture, inDirectory("other-name"));
symlinkSync(directory.path, inDirectory("same-directory"));

type FilesConfig = Parameters<typeof refuseSharedFiles>[0];
const requests = (file: string) => ({ host: "localhost", port: 0, file });
const NONE: FilesConfig = {
  address: { host: "localhost", port: 80 },
  also: [],
  read: [capture],
  summary: undefined,
  differences: undefined,
  record: undefined,
  recordFiles: 8,
  tlsCa: undefined,
  tlsCert: undefined,
  tlsKey: undefined,
  libpcap: undefined,
};

const shared: [name: string, config: Partial<FilesConfig>, says: string][] = [
  ["the summary over the savefile", { summary: capture }, "Cannot use --summary for"],
  ["by another name of it", { summary: inDirectory("other-name") }, "the file of --read"],
  ["by another way to it", { differences: inDirectory("same-directory/mirror.0.pcapng") }, "--differences for"],
  ["over one of several savefiles", { read: [key, capture], summary: capture }, "--read"],
  ["over a private key", { summary: key, tlsKey: key }, "--tls-key"],
  ["both to one file", { summary: inDirectory("new"), differences: inDirectory("./new") }, "--differences for"],
  ["requests over the savefile", { address: requests(capture) }, "Cannot use file:"],
  ["requests over the summary", { also: [requests(inDirectory("s"))], summary: inDirectory("s") }, "of --summary"],
  ["a record's ring over its own files", { record: inDirectory("mirror.pcapng") }, "--record for"],
];
test.each(shared)("%s: refused", (_name, config, says) => {
  expect(() => refuseSharedFiles({ ...NONE, ...config })).toThrow(says);
});

const apart: [name: string, config: Partial<FilesConfig>][] = [
  ["files of their own", { summary: inDirectory("a"), differences: inDirectory("b"), record: inDirectory("c.pcapng") }],
  ["two files of requests", { address: requests(inDirectory("a.har")), also: [requests(inDirectory("b.har"))] }],
  ["a savefile twice", { read: [capture, capture] }],
  [
    "a ring that ends before the file that is read",
    { read: [inDirectory("m.3.p")], record: inDirectory("m.p"), recordFiles: 3 },
  ],
  ["an interface", { read: undefined, summary: inDirectory("a"), record: inDirectory("mirror.pcapng") }],
  ["standard input", { read: ["-"], summary: inDirectory("a") }],
];
test.each(apart)("%s: accepted", (_name, config) => {
  refuseSharedFiles({ ...NONE, ...config });
});
