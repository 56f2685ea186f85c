import { describe, expect, test } from "vitest";
import { judgeTarget } from "../../../core/alerts/target-guard.ts";

const judge = (url: string, allowPrivate = false): string | null => judgeTarget(new URL(url), allowPrivate);

describe("public targets", () => {
  test.each([
    "https://hooks.example.com/a?b=c",
    "https://hooks.example.com:443/",
    "https://HOOKS.Example.COM./x",
    "https://xn--bcher-kva.example/",
    "https://1.example.com/",
    "https://localhost.example.com/",
  ])("%s may be called", (url) => {
    expect(judge(url)).toBeNull();
  });
});

describe("everything else is refused", () => {
  test.each([
    ["http://hooks.example.com/", "https"],
    ["ftp://hooks.example.com/", "https"],
    ["file:///etc/passwd", "https"],
    ["https://hooks.example.com:8443/", "port"],
    ["https://hooks.example.com:80/", "port"],
    ["https://user@hooks.example.com/", "user name"],
    ["https://:secret@hooks.example.com/", "user name"],
    // The same address in every form the URL parser knows.
    ["https://127.0.0.1/", "IP address"],
    ["https://127.1/", "IP address"],
    ["https://2130706433/", "IP address"],
    ["https://0x7f000001/", "IP address"],
    ["https://0177.0.0.1/", "IP address"],
    ["https://127.0.0.1./", "IP address"],
    ["https://１２７.０.０.１/", "IP address"],
    ["https://0/", "IP address"],
    ["https://169.254.169.254/latest/meta-data/", "IP address"],
    ["https://8.8.8.8/", "IP address"],
    ["https://[::1]/", "IP address"],
    ["https://[::ffff:127.0.0.1]/", "IP address"],
    ["https://[fd00::1]/", "IP address"],
    ["https://localhost/", "full host name"],
    ["https://localhost./", "full host name"],
    ["https://intranet/", "full host name"],
    ["https://app.localhost/", ".localhost"],
    ["https://db.LOCAL/", ".local"],
    ["https://metadata.google.internal/", ".internal"],
    ["https://metadata.google.internal./", ".internal"],
    ["https://router.home.arpa/", ".arpa"],
    ["https://nas.lan/", ".lan"],
    ["https://wiki.corp/", ".corp"],
    ["https://a..example.com/", "full host name"],
  ])("%s: %s", (url, reason) => {
    expect(judge(url)).toContain(reason);
  });
});

describe("private targets, where they are allowed", () => {
  test.each(["http://127.0.0.1:9000/hook", "https://localhost/", "http://[::1]:8080/"])("%s may be called", (url) => {
    expect(judge(url, true)).toBeNull();
  });

  test.each(["ftp://127.0.0.1/", "file:///etc/passwd", "http://user:secret@127.0.0.1/"])("%s may not", (url) => {
    expect(judge(url, true)).not.toBeNull();
  });
});
