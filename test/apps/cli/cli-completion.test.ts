/** Shell completion, tested with the shell itself. */
import { spawnSync } from 'node:child_process';
import t from 'tap';
import { run } from './cli-world.ts';

/** What bash offers after these words, the last of which is unfinished. */
function offered(script: string, ...words: readonly string[]): readonly string[] {
  const question = `${script}\nCOMP_WORDS=(agentcom "$@"); COMP_CWORD=$#; _agentcom; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr, status } = spawnSync('bash', ['--norc', '-c', question, 'bash', ...words], { encoding: 'utf8' });
  t.strictSame([stderr, status], ['', 0]);
  return stdout.trimEnd().split('\n');
}

t.test('bash completes commands, options and values', async (t) => {
  const { code, out, err } = await run(['completion', 'bash']);
  t.strictSame([code, err], [0, '']);
  t.strictSame(offered(out, 'ret'), ['retry']);
  t.strictSame(offered(out, 'to'), ['top', 'tokens']);
  t.strictSame(offered(out, 'top', '--on'), ['--once']);
  t.ok(offered(out, '').includes('submit') && !offered(out, '').includes('quickstart-postgres'));
  t.strictSame(offered(out, 'list', '--pri'), ['--priority']);
  t.strictSame(offered(out, 'list', '--json', '--status', 'dead'), ['dead_letter']);
  t.strictSame(offered(out, 'tokens', 'cr'), ['create']);
  t.strictSame(offered(out, 'tokens', 'create', '--ro'), ['--role']);
  t.strictSame(offered(out, 'show', 'task-1', '--al'), ['--all'], 'an argument is not a command');
  t.ok(offered(out, '--u').includes('--url'));
});

t.test('zsh uses the same script, fish gets a line for each, and other shells are unknown', async (t) => {
  t.match((await run(['completion', 'zsh'])).out, /^autoload -U \+X bashcompinit && bashcompinit\n# agentcom completion for bash\n/);
  const fish = (await run(['completion', 'fish'])).out.trimEnd().split('\n').slice(1);
  t.ok(fish.length > 100);
  for (const line of fish)
    t.match(line, /^complete -c agentcom (-f )?-n '[^']+' (-a [a-z-]+|-l [a-z0-9-]+) -d '(\\'|[^'])*'( -x -a '[^']+')?$/);
  t.match(fish, ["complete -c agentcom -f -n '__fish_use_subcommand' -a hub -d 'Run the hub until SIGTERM, SIGINT or SIGHUP'"]);
  t.match(await run(['completion', 'tcsh']), { code: 2, err: /Allowed choices are bash, zsh, fish/ });
});
