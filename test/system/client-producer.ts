/** A program that tracks events and never comes to deliver them; the test kills it. Arguments: URL, key, directory of the store, count. */
import { createClient } from "../../client/index.ts";
import { fileStore } from "../../client/node.ts";

const [url = "", key = "", directory = "", count = "0"] = process.argv.slice(2);
const client = createClient({
  url,
  key,
  store: fileStore(directory),
  onTrouble: ({ kind }) => process.stdout.write(`${kind}\n`),
});
await client.send(
  Array.from({ length: Number(count) }, (_, n) => ({
    id: `killed-${n}`,
    type: "client.killed",
    source: "producer",
    data: { n },
  })),
);
process.stdout.write("tracked\n");
