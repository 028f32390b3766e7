/** The commands of docs/http-api.md, run in a shell next to a running hub and sidecar. */
import { spawnSync } from 'node:child_process';
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { ROOT } from '../../architecture/cruise.ts';
import { builtTree } from '../../rig/built-tree.ts';
import { program, shell, temporaryFolder } from './newcomer.ts';
import { blocksOf } from './page-blocks.ts';
import { freePort } from '../app-world.ts';

const BIN = builtTree().bin;
const hasCurl = spawnSync('curl', ['--version']).status === 0;

t.test('the hub accepts every request on the page', { skip: hasCurl ? false : 'curl is not installed' }, async (t) => {
  const cwd = await temporaryFolder(t);
  await cp(join(ROOT, 'agentcom.config.ts'), join(cwd, 'agentcom.config.ts'));
  await cp(join(ROOT, 'examples'), join(cwd, 'examples'), { recursive: true });
  const port = await freePort();
  const place = { cwd, env: { AGENTCOM_PORT: String(port), AGENTCOM_HUB_URL: `ws://127.0.0.1:${port}/ws` } };
  await program(t, `node ${BIN} hub`, place);
  await program(t, `node ${BIN} sidecar`, place);

  const [setup, ...blocks] = blocksOf('docs/http-api.md').filter(({ language }) => language === 'sh');
  const requests = blocks.flatMap(({ text, line }) => text.split(/\n(?=curl )/).map((command) => ({ command: command.trim(), line })));
  t.ok(requests.length > 20, `${requests.length} requests`);
  const script = [
    setup?.text.replace('http://127.0.0.1:4000', `http://127.0.0.1:${port}`),
    // Each prints how it was answered; a stream is left after a moment.
    String.raw`curl() { command curl --max-time 2 -w '\n%{http_code}\n' "$@"; }`,
    ...requests.map(
      ({ command }, index) => `{ ${command}\n} > answer-${index}; [ -n "$ID" ] || ID=$(grep -o 'task-[0-9a-f]*' answer-${index} | head -1)`,
    ),
  ].join('\n');
  await writeFile(join(cwd, 'page.sh'), script);
  const ran = await shell('bash page.sh', place);
  t.equal(ran.code, 0, ran.err);

  for (const [index, { command, line }] of requests.entries()) {
    const { out } = await shell(`cat answer-${index}`, { cwd });
    const status = Number(out.trim().split('\n').at(-1));
    // A task may have moved on, so that a retry or an adoption is not possible any more; that is an answer too.
    const isAct = /\/(retry|cancel|adopt)"?\s/.test(`${command} `);
    // A task of the page has no kept result.
    const wanted = isAct ? [200, 409] : command.includes('/results/') ? [200, 404] : [200, 201];
    t.ok(wanted.includes(status), `line ${line}: ${command.split('\n')[0] ?? ''} … ${out}`);
  }
});
