// Does what it is told, a line of JSON at a time: {"open": {client, url, key, stream}}, {"ask": {text, ...}} or
// {"bring": [{id, name, text}]}. Answers each with a line: {"said": ...} or {"error": "..."}.

import { createInterface } from "node:readline";
import { CLIENTS } from "./clients.mjs";

let client;

async function carryOut({ open, ask, bring }) {
  if (open) {
    client = new CLIENTS[open.client](open.url, open.key, open.stream);
    return null;
  }
  return ask ? client.ask(ask.text, ask) : client.bring(bring);
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    answer = { said: await carryOut(JSON.parse(line)) };
  } catch (error) {
    answer = { error: `${error?.name}: ${error?.message}` };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
