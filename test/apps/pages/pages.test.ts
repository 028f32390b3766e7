/** The pages about options and commands agree with the program. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { EXIT_CODES_HELP } from '../../../apps/cli/exit-codes.ts';
import { agentcomProgram } from '../../../apps/cli/commander-program.ts';
import { HUB_LIMITS } from '../../../core/config/limits.ts';
import { configSchema } from '../../../core/config/config-schema.ts';
import { HUB_TIMING, SIDECAR_TIMING } from '../../../core/config/times.ts';
import { Readable } from 'node:stream';
import { ROOT } from '../../architecture/cruise.ts';
import { optionRows } from '../../architecture/promises/option-table.ts';
import { filesUnder, sourceFiles } from '../../architecture/tree.ts';

const page = (name: string): Promise<string> => readFile(join(ROOT, 'docs', name), 'utf8');

/** Pages and sources: everything that may tell users to type a command. */
async function everyText(): Promise<readonly (readonly [file: string, text: string])[]> {
  const sources = (await sourceFiles()).filter((file) => !file.startsWith('test/'));
  const pages = (await filesUnder('docs')).concat('README.md', 'ARCHITECTURE.md', 'CHANGELOG.md');
  return Promise.all([...pages, ...sources].map(async (file) => [file, await readFile(join(ROOT, file), 'utf8')] as const));
}

/** The first two cells of each row of the section's tables: option and default. */
function rowsOf(text: string, section: string): Map<string, string> {
  const body = text.split(new RegExp(`^## ${section}$`, 'm'))[1]?.split(/^## /m)[0] ?? '';
  const rows = [...body.matchAll(/^\| (.+?) \| (.+?) \|/gm)].map(([, option = '', value = '']): [string, string] => [
    option.replaceAll('`', '').replace(' °', ''),
    value,
  ]);
  return new Map(rows.filter(([option]) => option !== 'option' && option !== '---'));
}

/** `backoff.firstMs, backoff.maxMs` → `1000, 60000`, and every other value as JSON. */
function flattened(values: object): Map<string, string> {
  return new Map(
    Object.entries(values).map(([name, value]: [string, unknown]) => {
      const isPair = typeof value === 'object' && value !== null && !Array.isArray(value);
      const keys = isPair
        ? Object.keys(value)
            .map((key) => `${name}.${key}`)
            .join(', ')
        : name;
      return [keys, isPair ? Object.values(value).join(', ') : JSON.stringify(value).replaceAll(',', ', ')];
    }),
  );
}

t.test('every time and limit is on its page with its default', async (t) => {
  const text = await page('configuration.md');
  t.strictSame(rowsOf(text, 'hub.timing'), flattened(HUB_TIMING));
  t.strictSame(rowsOf(text, 'hub.limits'), flattened(HUB_LIMITS));
  t.strictSame(rowsOf(text, 'sidecar.timing'), flattened(SIDECAR_TIMING));
});

t.test('every other option is on its page', async (t) => {
  const text = await page('configuration.md');
  const { hub, sidecar } = configSchema.properties as Record<string, { properties: Record<string, { properties?: object }> }>;
  const options = (part: string, properties: Record<string, { properties?: object }>): string[] =>
    Object.entries(properties)
      .filter(([name]) => name !== 'timing' && name !== 'limits')
      .flatMap(([name, schema]) =>
        schema.properties === undefined ? [`${part}.${name}`] : Object.keys(schema.properties).map((key) => `${part}.${name}.${key}`),
      );
  t.strictSame([...rowsOf(text, 'hub').keys()].sort(), options('hub', hub?.properties ?? {}).sort());
  t.strictSame([...rowsOf(text, 'sidecar').keys()].sort(), options('sidecar', sidecar?.properties ?? {}).sort());
});

t.test('the defaults on the page match the code', async (t) => {
  const text = await page('configuration.md');
  const defaults = new Map(optionRows().map(({ path, defaultText }) => [path, defaultText?.replaceAll('"', '') ?? null]));
  let compared = 0;
  for (const part of ['hub', 'sidecar', 'Postgres']) {
    for (const [option, value] of rowsOf(text, part)) {
      const known = defaults.get(part === 'Postgres' ? `postgres({ ${option} })` : option);
      const written = /^`?([^` ]+)`?$/.exec(value)?.[1];
      if (known === null || known === undefined || written === undefined) continue;
      t.equal(written, known, option);
      compared += 1;
    }
  }
  t.ok(compared >= 15, `${compared} options have a default in the code`);
});

t.test('every command is on its page, and the exit codes match --help', async (t) => {
  const text = await page('cli.md');
  const sink = { write: () => true };
  const environment = {
    stdout: sink,
    stderr: sink,
    stdin: Readable.from([]),
    env: {},
    cwd: '/',
    interrupt: () => new AbortController().signal,
  };
  const program = await agentcomProgram([], environment, () => undefined);
  // Without those that only our own programs start.
  const commands = program
    .createHelp()
    .visibleCommands(program)
    .map((command) => command.name())
    .filter((name) => name !== 'help');
  const known = new Set(commands);
  for (const [file, pageText] of await everyText()) {
    for (const [, name = ''] of pageText.matchAll(/(?:`|"|npx |: )agentcom ([a-z]+)/g))
      t.ok(known.has(name), `${file} mentions agentcom ${name}`);
  }
  const named = [...text.matchAll(/^\| `agentcom (\w+)/gm)].map(([, name]) => name);
  t.strictSame(named.sort(), commands.sort());
  const documented = [...(text.split('## Exit codes')[1] ?? '').matchAll(/^\| (\d+) \|/gm)].map(([, code]) => code);
  const helped = [...EXIT_CODES_HELP.matchAll(/^ {2}(\d+) /gm)].map(([, code]) => code);
  t.strictSame(documented, helped);
});
