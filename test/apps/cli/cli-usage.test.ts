/** How a wrong command line is answered, and the command name alone. */
import t from 'tap';
import type { Command } from 'commander';
import { EXAMPLES } from '../../../apps/cli/help.ts';
import { agentcomProgram } from '../../../apps/cli/commander-program.ts';
import { run, testHub } from './cli-world.ts';

t.test('the name alone prints the commands', async (t) => {
  const { code, out, err } = await run([]);
  t.strictSame([code, err], [0, '']);
  t.match(out, /agentcom quickstart[^]*agentcom COMMAND --help\.\n$/);
  t.ok(out.split('\n').length < 20, 'a short page');
});

t.test('help lists each command under a heading, and its examples are command lines that parse', async (t) => {
  const { out } = await run(['--help']);
  t.match(
    out,
    /\nStart:\n {2}quickstart[^]*\nTasks:\n {2}submit[^]*\nAgents:\n[^]*\nAccess:\n[^]*\nStore:\n[^]*\nPrograms:\n[^]*\nExit codes:/,
  );
  t.notMatch(out, /\nCommands:\n/, 'every command has one');
  t.match(
    (await run(['submit', '--help'])).out,
    /\nExamples:\n {2}# Submit a task[^\n]*\n {2}agentcom submit "Count the samples" --wait\n/,
  );

  const program = await agentcomProgram([], { stdout: process.stdout, stderr: process.stderr } as never, () => undefined);
  for (const [name, examples] of Object.entries(EXAMPLES)) {
    let command: Command | undefined = program;
    for (const word of name.split(' ')) command = command?.commands.find((each) => each.name() === word);
    if (command === undefined) throw new Error(`there is no command ${name}`);
    for (const [, line] of examples) {
      t.ok(line.startsWith(`agentcom ${name} `) || line === `agentcom ${name}`, line);
      const words = [...line.slice(`agentcom ${name}`.length).matchAll(/"([^"]*)"|(\S+)/g)].map(
        ([, quoted, plain]) => quoted ?? plain ?? '',
      );
      const { operands, unknown } = command.parseOptions(words);
      t.strictSame(
        unknown.filter((word) => !['--json'].includes(word)),
        [],
        line,
      );
      t.ok(operands.length >= command.registeredArguments.filter(({ required }) => required).length, line);
    }
  }
});

t.test('help as a word is --help', async (t) => {
  t.strictSame(await run(['help']), await run(['--help']));
  t.strictSame(await run(['help', 'submit']), await run(['submit', '--help']));
  t.strictSame(await run(['help', 'tokens', 'create']), await run(['tokens', 'create', '--help']));
  t.match(await run(['submit', 'help']), { code: 2, err: /No hub|No config|no agentcom.config/ }, 'a description');
});

t.test('an error of the command line names the command, and with --json it is one object', async (t) => {
  t.match(
    (await run(['list', '--stauts', 'queued'])).err,
    /^agentcom: unknown option '--stauts' \(AC_USAGE\)\n\(Did you mean --status\?\)\n\(see agentcom list --help\)/,
  );
  t.match((await run(['tokens', 'create', '--nope'])).err, /\(see agentcom tokens create --help\)/);
  for (const argv of [
    ['list', '--json', '--stauts', 'queued'],
    ['--json', 'lst'],
    ['show', '--json'],
    ['list', '--json', '--status', 'nope'],
    ['--json'],
    ['tokens', '--json'],
  ]) {
    const { code, out, err } = await run(argv);
    t.strictSame([code, out], [2, ''], argv.join(' '));
    t.match(JSON.parse(err), { error: 'AC_USAGE', message: /^(unknown|missing|option|Expected a command\. )/ }, argv.join(' '));
    t.equal(err.trimEnd().split('\n').length, 1);
  }
  t.match((await run(['list', '--nope', '--', '--json'])).err, /^agentcom: unknown option/, 'no option behind --');
});

t.test('in every command, an error of the command line reads like any other error', async (t) => {
  const program = await agentcomProgram([], { stdout: process.stdout, stderr: process.stderr } as never, () => undefined);
  const commands = namesOf(program);
  t.ok(commands.includes('tokens create') && commands.length > 40, `${commands.length} commands`);
  for (const name of commands) {
    const { code, out, err } = await run([...name.split(' '), '--nope']);
    t.strictSame([code, out], [2, ''], name);
    t.match(err, /^agentcom: (unknown|required) option '-.*' (not specified )?\(AC_USAGE\)\n/, name);
    t.ok(err.endsWith(`\n(see agentcom ${name} --help)\n`), name);
  }
});

/** The names of its commands, and of theirs. */
const namesOf = (command: Command): readonly string[] =>
  command.commands.flatMap((each) => [each.name(), ...namesOf(each).map((name) => `${each.name()} ${name}`)]);

t.test('AGENTCOM_DEBUG=1 prints the stack of what caused an error, too', async (t) => {
  const cwd = t.testdir({ 'agentcom.config.mjs': "throw new Error('of my own');" });
  const { code, err } = await run(['list'], { cwd, env: { AGENTCOM_DEBUG: '1' } });
  t.equal(code, 2);
  t.match(
    err,
    /it threw: of my own\. \(AC_CONFIG_INVALID\)\nAgentcomError: [^]*\nCaused by: Error: of my own\n +at .*agentcom\.config\.mjs/,
  );
  t.notMatch((await run(['list'], { cwd })).err, / at /);
  t.notMatch((await run(['list'], { cwd, env: { AGENTCOM_DEBUG: '' } })).err, / at /, 'empty');
});

t.test('a wrong value exits with 2, even if the hub finds it', async (t) => {
  const hub = await testHub(t, (app) =>
    app
      .get('/api/tasks', (c) => c.json({ error: 'validation_failed', message: 'no', details: [] }, 400))
      .get('/api/agents', (c) => c.json({ error: 'forbidden', message: 'no' }, 403)),
  );
  t.equal((await hub.run(['list', '--limit', '0'])).code, 2);
  t.equal((await hub.run(['agents'])).code, 7);
});

t.test('a wrong command line exits with 2 and reports what is wrong', async (t) => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [['backup', 'b.db', '--url', 'http://h'], /this command takes no --url/],
    [['--token', 't', 'hub'], /this command takes no --token/],
    [['init', '--yes', '--config', 'hub.ts'], /this command takes no --config/],
    [['-c', 'hub.ts', 'keys', 'init'], /this command takes no --config/],
    [['audit', 'verify', '--since', '1d'], /checks the whole chain. Leave out --follow, --since and --after/],
    [['audit', '--follow', 'verify'], /checks the whole chain/],
    [['lst'], /unknown command 'lst'[\s\S]*Did you mean list/],
    [['list', '--status', 'nope'], /argument 'nope' is invalid\. Allowed choices are scheduled, blocked/],
    [
      ['submit', 'x', '--ttl', 'soon'],
      /'--ttl <duration>' argument 'soon' is invalid\. Expected a duration with a unit, greater than 0, such as 500ms, 90s/,
    ],
    [['submit', 'x', '--ttl', '0s'], /'--ttl <duration>' argument '0s' is invalid\. Expected a duration with a unit, greater than 0/],
    [['submit', 'x', '--ttl', '5'], /'--ttl <duration>' argument '5' is invalid\. Expected a duration with a unit/],
    [['submit', 'x', '--run-at', '+15'], /'--run-at <time>' argument '\+15' is invalid\. Expected a duration with a unit/],
    [
      ['submit', 'x', '--run-at', '1900000000'],
      /'--run-at <time>' argument '1900000000' is invalid\. Expected a time .* or milliseconds since 1970/,
    ],
    [
      ['submit', 'x', '--run-at', '20300101120000'],
      /'--run-at <time>' argument '20300101120000' is invalid\. Expected a time .* or milliseconds since 1970/,
    ],
    [
      ['list', '--since', '1900000000'],
      /'--since <time>' argument '1900000000' is invalid\. Expected a time .* or milliseconds since 1970/,
    ],
    [['submit', 'x', '--metadata', '[1]'], /Expected a JSON object/],
    [['submit', 'x', '--run-at', 'tomorrow'], /Expected a time such as \+15m/],
    [['show'], /missing required argument 'task'/],
    [['submit', '--url', 'http://h', '--token', 't'], /Expected one description/],
    [['submit', 'x', '--file', 'y', '--url', 'http://h', '--token', 't'], /Expected one description/],
    [['submit', '--bulk', 'y', '--wait', '--url', 'http://h', '--token', 't'], /--bulk cannot be combined with --wait: every line/],
    [
      ['submit', 'x', '--bulk', 'y', '--sign-for', '1d', '-p', 'high', '--run-at', '+15m', '--url', 'http://h', '--token', 't'],
      /--bulk cannot be combined with a description, --priority, --run-at: every line/,
    ],
    [['list', '--url', 'ftp://h', '--token', 't'], /Expected the hub's address as http/],
    [['list', '--url', 'http://me:pw@h', '--token', 't'], /Expected the hub's address as http.* found "http:\/\/…@h"/],
    [['list', '--url', 'me:p/w@h', '--token', 't'], /Expected the hub's address as http.* found "…@h"/],
    [['tokens', 'create', '--name', 'ci', '--url', 'http://h', '--token', 't'], /Expected --agent AGENT, or --name NAME and --role ROLE/],
  ];
  for (const [argv, message] of cases) {
    const ran = await run(argv);
    t.equal(ran.code, 2, argv.join(' '));
    t.match(ran.err, message, argv.join(' '));
    t.match(ran.err, /^agentcom: .* \(AC_USAGE\)\n/, argv.join(' '));
    t.notMatch(ran.err, /\n\s+at /, 'no stack');
    t.equal(ran.out, '');
  }
});

t.test('text that is not UTF-8 is refused, wherever it comes from; chunks may end inside a character', async (t) => {
  const hub = await testHub(t, (app) => app.post('/api/tasks', (c) => c.json({ task_id: 'task-1', status: 'queued' }, 201)));
  const latin = Buffer.from('{"description":"caf\u00e9"}', 'latin1');
  const cwd = t.testdir({ 'a.txt': latin, 'good.txt': '\uFEFFcaf\u00e9' });
  for (const argv of [
    ['submit', '--file', 'a.txt'],
    ['submit', '--bulk', 'a.txt'],
    ['submit', '-'],
    ['submit', '--bulk', '-'],
  ]) {
    const { code, err } = await hub.run(argv, { cwd, stdin: [latin] });
    t.equal(code, 2, argv.join(' '));
    t.match(err, /(a\.txt|Standard input) is not UTF-8\. .*\(AC_USAGE\)/);
  }
  t.match(await hub.run(['import', 'a.txt'], { cwd }), { code: 2, err: /a\.txt: it is not UTF-8/ });
  t.equal(hub.requests.length, 0);
  const bytes = Buffer.from('\uFEFFcaf\u00e9');
  t.equal((await hub.run(['submit', '-'], { stdin: [...bytes].map((byte) => Buffer.of(byte)) })).code, 0);
  t.equal((await hub.run(['submit', '--file', 'good.txt'], { cwd })).code, 0);
  t.strictSame(
    hub.requests.map(({ body }) => (JSON.parse(body) as { readonly description: string }).description),
    ['caf\u00e9', '\uFEFFcaf\u00e9'],
  );
});
