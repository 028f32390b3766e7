/**
 * Records the conversations that recorded-frames.test.ts replays: `npm run record -- v2-0.2.0` at the release of
 * 0.2.0. It never overwrites a file: what a released version sent does not change.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { conversationOf, type Version } from './recorded-scenes.ts';
import { fileOf } from './recorded-conversation.ts';

const [name = ''] = process.argv.slice(2);
const file = fileOf(name);
if (!/^v[12]-\d+\.\d+\.\d+$/.test(name)) {
  throw new Error(`Name the versions of the protocol and of the release, as in: npm run record -- v2-0.2.0 (found "${name}")`);
}
if (existsSync(file))
  throw new Error(`${file} exists, and what was released does not change. If that version is not released yet, remove the file first.`);
const lines = await conversationOf(name.slice(0, 2) as Version);
writeFileSync(file, `${lines.map((line) => JSON.stringify(line)).join('\n')}\n`);
process.stdout.write(`${lines.length} lines in ${file}\n`);
