/** Options that match the schema but are refused by the command runner: above all task text where a program would run it. */
import t from 'tap';
import { command } from '../../plugins/command/index.ts';

void t.test('options that match the schema and are still invalid', (t) => {
  for (const [options, path, message] of [
    [{ argv: [''] }, 'argv[0]', /must name a program/],
    [{ argv: ['${TASK_DESCRIPTION}'] }, 'argv[0]', /a task cannot choose it/],
    [{ argv: ['node', 'a\0b'] }, 'argv[1]', /NUL/],
    [{ argv: ['sh', '-c', 'echo ${TASK_DESCRIPTION}'] }, 'argv[2]', /as a program of/],
    [{ argv: ['/usr/bin/env', 'bash', '-lc', 'echo "${TASK_JSON}"'] }, 'argv[3]', /as a program of/],
    [{ argv: ['sh', '-c', '--', '${TASK_DESCRIPTION}'] }, 'argv[3]', /a program of "sh".*taskTextAsCode/],
    [{ argv: ['bash', '-ec', '-o', 'pipefail', '${TASK_DESCRIPTION}'] }, 'argv[4]', /a program of "bash"/],
    [{ argv: ['bash', '${TASK_DESCRIPTION}'] }, 'argv[1]', /a program of "bash"/],
    [{ argv: ['ssh', 'host', 'agent', '--', '${TASK_DESCRIPTION}'] }, 'argv[4]', /a program of "ssh"/],
    [{ argv: ['su', 'agent', '-c', 'agent ${TASK_DESCRIPTION}'] }, 'argv[3]', /a program of "su"/],
    [{ argv: ['su', '--command=${TASK_DESCRIPTION}', 'agent'] }, 'argv[1]', /a program of "su"/],
    [{ argv: ['python3.12', '-c', '${TASK_DESCRIPTION}'] }, 'argv[2]', /a program of "python3.12"/],
    [{ argv: ['node', '--eval=${TASK_DESCRIPTION}'] }, 'argv[1]', /a program of "node"/],
    [{ argv: ['sudo', 'env', '-S', '${TASK_DESCRIPTION}'] }, 'argv[3]', /a program of "env"/],
    [{ argv: ['env', '-S${TASK_DESCRIPTION}'] }, 'argv[1]', /a program of "env"/],
    [{ argv: ['python3', '-uc', '${TASK_DESCRIPTION}'] }, 'argv[2]', /a program of "python3"/],
    [{ argv: ['python3', '-Ic${TASK_DESCRIPTION}'] }, 'argv[1]', /a program of "python3"/],
    [{ argv: ['perl', '-we', '${TASK_DESCRIPTION}'] }, 'argv[2]', /a program of "perl"/],
    [{ argv: ['perl', '-lne', '${TASK_DESCRIPTION}'] }, 'argv[2]', /a program of "perl"/],
    [{ argv: ['ruby', '-ne', '${TASK_DESCRIPTION}'] }, 'argv[2]', /a program of "ruby"/],
    [{ argv: ['script', '-qc', '${TASK_DESCRIPTION}', '/dev/null'] }, 'argv[2]', /a program of "script"/],
    [{ argv: ['env', '-iS', '${TASK_DESCRIPTION}'] }, 'argv[2]', /a program of "env"/],
    [{ argv: ['gawk', '-F', ':', '-v', 'a=b', '${TASK_DESCRIPTION}'] }, 'argv[5]', /a program of "gawk"/],
    [{ argv: ['sed', '-nE', '${TASK_DESCRIPTION}'] }, 'argv[2]', /a program of "sed"/],
    [{ argv: ['sed', '-ne', '${TASK_DESCRIPTION}'] }, 'argv[2]', /a program of "sed"/],
    [{ argv: ['tmux', 'new-session', '-d', '${TASK_DESCRIPTION}'] }, 'argv[3]', /a program of "tmux"/],
    [{ argv: ['npx', '-c', 'agent ${TASK_DESCRIPTION}'] }, 'argv[2]', /a program of "npx"/],
    [{ argv: ['npm', 'exec', '--call=${TASK_DESCRIPTION}'] }, 'argv[2]', /a program of "npm"/],
    [{ argv: ['xargs', '-n', '1', '${TASK_DESCRIPTION}'] }, 'argv[3]', /a program of "xargs"/],
    [{ argv: ['parallel', 'agent', '${TASK_DESCRIPTION}', ':::', 'a'] }, 'argv[2]', /a program of "parallel"/],
    [{ argv: ['node'], env: { AGENTCOM_RUN_ID: 'mine' } }, 'env.AGENTCOM_RUN_ID', /set by the sidecar/],
    [{ argv: ['node'], env: { 'A=B': 'x' } }, 'env.A=B', /without "="/],
    [{ argv: ['node'], env: { A: '\0' } }, 'env.A', /NUL/],
    [{ argv: ['node'], passEnv: [''] }, 'passEnv[0]', /not be empty/],
    [{ argv: ['node'], passEnv: ['HOME', 'AGENTCOM_TOKEN'] }, 'passEnv[1]', /for the sidecar alone/],
  ] as const) {
    t.match(command(options).problems(), [{ path, message }], path);
    t.equal(command(options).problems().length, 1);
  }
  for (const argv of [
    ['sh', '-c', 'echo "$1"', 'sh', '${TASK_DESCRIPTION}'],
    ['sh', '-c', 'echo ${TASK_ID}'],
    ['grep', '-c', '${TASK_DESCRIPTION}'],
    ['sh', 'agent.sh', '${TASK_DESCRIPTION}'],
    ['python3', 'agent.py', '-c', 'settings.ini', '${TASK_DESCRIPTION}'],
    ['perl', 'agent.pl', '-profile', '${TASK_DESCRIPTION}'],
    ['awk', '-f', 'agent.awk', '${TASK_DESCRIPTION}'],
    ['awk', '{ print }', '${TASK_DESCRIPTION}'],
    ['xargs', '-I{}', 'agent', '${TASK_DESCRIPTION}'],
    ['npx', 'agent', '${TASK_DESCRIPTION}'],
  ]) {
    t.strictSame(command({ argv }).problems(), [], argv.join(' '));
  }
  t.strictSame(command({ argv: ['ssh', 'host', '${TASK_DESCRIPTION}'], taskTextAsCode: true }).problems(), [], 'named');
  t.end();
});
