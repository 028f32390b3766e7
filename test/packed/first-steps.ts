/** The first steps of a user who has the installed package, an empty folder and an empty home. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Test } from 'tap';
import { freePort } from '../apps/app-world.ts';
import { program, shell, temporaryFolder, type Place } from '../apps/pages/newcomer.ts';
import { blocksOf, fileOf } from '../apps/pages/page-blocks.ts';
import { complaintsIn } from './complaints.ts';

/** What `init` writes, with a free port. */
async function initialized(
  t: Test,
  folder: string,
  name: string,
  command = 'npx agentcom init --runs both --agent-id worker-1 --program command',
): Promise<Place & { readonly port: number }> {
  const [cwd, port] = [join(folder, name), await freePort()];
  await mkdir(cwd);
  const env = { HOME: await temporaryFolder(t), AGENTCOM_HUB_URL: '' };
  const place = { cwd, env, port };
  const init = await shell(command, place);
  t.match(init, { code: 0, out: /^Wrote .*agentcom\.config\.ts$/m });
  const config = join(cwd, 'agentcom.config.ts');
  await writeFile(config, (await readFile(config, 'utf8')).replaceAll('4000', String(port)));
  return place;
}

const runs = async (t: Test, place: Place & { readonly port: number }): Promise<void> => {
  t.equal(await program(t, 'npx agentcom hub', place), `agentcom hub ready http://127.0.0.1:${place.port}`);
  t.equal(await program(t, 'npx agentcom sidecar', place), 'agentcom sidecar ready worker-1');
};

const GUIDE = 'docs/getting-started.md';

/** Everything in the guide, in its order. */
export async function firstSteps(t: Test, folder: string): Promise<void> {
  const commands = blocksOf(GUIDE).flatMap(({ language, text }) => (language === 'sh' ? text.trimEnd().split('\n') : []));
  const place = await initialized(t, folder, 'first-steps', commands.find((command) => command.startsWith('npx agentcom init ')) ?? '');
  await writeFile(join(place.cwd, 'agent.mjs'), fileOf(GUIDE, 'agent.mjs'));
  const outputs = new Map<string, string>();
  for (const command of commands.filter((one) => !one.startsWith('npx agentcom init '))) {
    if (/^npx agentcom (hub|sidecar)$/.test(command)) {
      t.match(await program(t, command, place), /^agentcom (hub|sidecar) ready /);
      continue;
    }
    const { code, out, err } = await shell(command, place);
    t.equal(code, 0, `${command}: ${err}`);
    outputs.set(command, out);
  }
  const [submitted = '', listed = ''] = outputs.values();
  t.match(submitted, /\bcompleted by worker-1\b/);
  t.match(listed, /completed .*Count the words/);
  const id = /task-[0-9a-f]+/.exec(submitted)?.[0] ?? '';
  const shown = await shell(`npx agentcom show ${id} --json`, place);
  t.match(JSON.parse(shown.out), { status: 'completed', result: { output: { words: 3 } } });
}

/** The runner from the README, as a TypeScript package next to the config, with an agent that speaks its own format. */
export async function ownPlugin(t: Test, folder: string): Promise<void> {
  const place = await initialized(t, folder, 'own-plugin');
  const plugin = join(place.cwd, 'plugins/json-lines');
  await mkdir(plugin, { recursive: true });
  await writeFile(join(plugin, 'package.json'), '{ "name": "json-lines", "private": true, "type": "module" }\n');
  await writeFile(join(plugin, 'json-lines-agent.ts'), fileOf('README.md', 'json-lines-agent.ts'));
  await writeFile(join(place.cwd, 'agent.sh'), `read -r task\necho '{"percent": 40}'\nprintf '{"answer": "did %s"}\\n' "$task"\n`);
  const file = join(place.cwd, 'agentcom.config.ts');
  const config = (await readFile(file, 'utf8'))
    .replace("import { command } from 'agentcom/runners'", "import { jsonLinesAgent } from './plugins/json-lines/json-lines-agent.ts'")
    .replace(/command\(.*?\] }\)/, "jsonLinesAgent({ argv: ['sh', 'agent.sh'] })");
  t.match(config, 'jsonLinesAgent({ argv');
  await writeFile(file, config);
  t.strictSame(complaintsIn(folder, ['own-plugin/agentcom.config.ts', 'own-plugin/plugins/json-lines/json-lines-agent.ts']), []);
  await runs(t, place);
  const submitted = await shell('npx agentcom submit "count the files" --wait --json', place);
  t.equal(submitted.code, 0, submitted.err);
  const last = submitted.out.trim().split('\n').at(-1) ?? '';
  t.match(JSON.parse(last), { task: { status: 'completed', result: { output: 'did count the files' } } });
}
