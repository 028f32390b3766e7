/** The container files: linted, since no container runs here, and consistent with the package and the hub. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DCLinter } from 'dclint';
import { validate, ValidationSeverity } from 'dockerfile-utils';
import t from 'tap';

const FOLDER = fileURLToPath(new URL('../../../examples/docker', import.meta.url));
const dockerfile = await readFile(join(FOLDER, 'Dockerfile'), 'utf8');
const compose = await readFile(join(FOLDER, 'compose.yaml'), 'utf8');

/** What the linter finds in a Dockerfile. */
const lintedDockerfile = (text: string): readonly string[] =>
  validate(text, { deprecatedMaintainer: ValidationSeverity.ERROR, directiveCasing: ValidationSeverity.ERROR }).map(
    ({ range, message }) => `line ${range.start.line + 1}: ${message}`,
  );

interface LintedFile {
  readonly messages: readonly { readonly line: number; readonly message: string }[];
}

/** What the linter finds in a compose file, by the schema of the specification and its own rules. */
function lintedCompose(file: string): readonly string[] {
  const linted: readonly LintedFile[] = new DCLinter({ rules: {}, quiet: false, debug: false, exclude: [] }).lintFiles([file], false);
  return linted.flatMap(({ messages }) => messages.map(({ line, message }) => `line ${line}: ${message}`));
}

t.test('the Dockerfile passes the linter, and a broken one fails', async (t) => {
  t.strictSame(lintedDockerfile(dockerfile), []);
  t.match(lintedDockerfile(dockerfile.replace('WORKDIR /app', 'WORKDR /app')), [/line 7: Unknown instruction: WORKDR/]);
  t.match(lintedDockerfile(dockerfile.replace('--interval=30s', '--interval=30')), [/missing unit/]);
});

t.test('the compose file passes the check, and a broken one fails', async (t) => {
  t.strictSame(lintedCompose(join(FOLDER, 'compose.yaml')), []);
  const dir = await mkdtemp(join(tmpdir(), 'agentcom-container-'));
  t.teardown(() => rm(dir, { recursive: true }));
  const broken = join(dir, 'compose.yaml');
  await writeFile(broken, compose.replace('restart: on-failure', 'restarts: on-failure'));
  t.match(lintedCompose(broken), [/must NOT have additional properties/]);
});

t.test('the container files refer only to existing files', async (t) => {
  const { bin } = JSON.parse(await readFile(new URL('../../../package.json', import.meta.url), 'utf8')) as { bin: Record<string, string> };
  t.match(dockerfile, /CMD \["node_modules\/\.bin\/agentcom", "hub"\]/);
  t.ok(bin['agentcom'], 'the command belongs to the package');
  const port = /EXPOSE (\d+)/.exec(dockerfile)?.[1];
  t.match(compose, `'127.0.0.1:${port}:${port}'`, 'the port that the image exposes is published, on this machine only');
  t.match(dockerfile, `http://127.0.0.1:${port}/health`);
  t.match(compose, `hub-data:${/VOLUME (\S+)/.exec(dockerfile)?.[1]}`, 'the volume is the data directory');
  t.match(dockerfile, 'AGENTCOM_DATA_DIR=/data');
});
