/** What the doctor finds out about logins and settings of agent programs, with programs that answer like the real ones. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { acp, claudeCode, codex, gemini, openclaw, opencode } from '../../../plugins/runners.ts';
import { claude, place } from './check-place.ts';

void t.test('R16: codex with its own model provider needs the key of that provider, not a Codex login', async (t) => {
  const { program, checks, folder } = await place(t);
  const bin = await program(`[ "$1" = --version ] && echo 'codex-cli 0.169.0' || exit 1`);
  const login = async (config: string, more: object = {}) => {
    await writeFile(join(folder, 'config.toml'), config);
    const env = { CODEX_HOME: folder, CODEX_API_KEY: '', OPENAI_API_KEY: '', ...more };
    return (await checks(codex({ bin, cwd: 'project', env })))['login'];
  };
  const own = 'model = "m"\nmodel_provider = "mine" # here\n\n[model_providers.other]\nenv_key = "OTHER"\n\n[model_providers."mine"]\n';
  t.match(await login(`${own}base_url = "http://127.0.0.1:11434/v1"\n`), { ok: true, message: /provider "mine"/ });
  t.match(await login(`${own}env_key = "MY_LLM_KEY"\n`), {
    ok: false,
    message: /needs MY_LLM_KEY, which is not passed to Codex/,
    hint: /passEnv/,
  });
  t.match(await login(`${own}env_key = "MY_LLM_KEY"\n`, { MY_LLM_KEY: 'k' }), { ok: true });
  t.match(await login(`${own}requires_openai_auth = true\n`), { ok: false, hint: /codex login/ });
  t.match(await login('[profiles.a]\nmodel_provider = "mine"\n'), { ok: false, hint: /codex login/ }, 'only the chosen one');
  const env = { CODEX_HOME: folder, CODEX_API_KEY: '', OPENAI_API_KEY: '' };
  t.match(await checks(codex({ bin, cwd: 'project', env, extraArgs: ['-c', 'model_provider="mine"'] })), { login: { ok: true } });
});

void t.test('R16: gemini with comments in its settings and a key in its env file counts as logged in', async (t) => {
  const { program, checks, folder } = await place(t);
  const bin = await program(`echo 0.61.0`);
  await mkdir(join(folder, '.gemini'));
  const env = { HOME: folder, GEMINI_API_KEY: '', GOOGLE_API_KEY: '', GOOGLE_APPLICATION_CREDENTIALS: '' };
  const login = async () => (await checks(gemini({ bin, cwd: 'project', env })))['login'];
  const settings = '/* a\n b */ {"security": {"auth": {"selectedType": "gemini-api-key"}}, "u": "https://x/*no*/" // here\n}';
  await writeFile(join(folder, '.gemini', 'settings.json'), settings);
  t.match(await login(), { ok: false, message: /select an API key, but none is set/ });
  await writeFile(join(folder, '.gemini', '.env'), 'OTHER=1\nexport GEMINI_API_KEY="k"\n');
  t.match(await login(), { ok: true });
  await writeFile(join(folder, 'project', '.env'), '# GEMINI_API_KEY=k\n');
  t.match(await login(), { ok: false }, 'it reads only the nearest one');
  await writeFile(join(folder, 'project', '.env'), 'GEMINI_API_KEY=k\n');
  t.match(await login(), { ok: true });
  await writeFile(join(folder, '.gemini', 'settings.json'), '{"a": }');
  t.match(await checks(gemini({ bin, cwd: 'project', env })), {
    settings: { ok: false, message: /settings\.json" is not JSON/ },
    login: undefined,
  });
  await writeFile(join(folder, '.gemini', 'settings.json'), '{}');
  await mkdir(join(folder, 'project', '.gemini'));
  const ofProject = join(folder, 'project', '.gemini', 'settings.json');
  await writeFile(ofProject, '{"security": {"auth": {"selectedType": "oauth-personal"}}}');
  t.match(await login(), { ok: true, message: 'login method: oauth-personal' }, 'those of its folder count too');
  await writeFile(ofProject, '{ "permissions": ');
  const [inFolder] = [await checks(gemini({ bin, cwd: 'project', env }))];
  t.match(inFolder['settings'], { ok: false, message: /project\/\.gemini\/settings\.json" is not JSON/ });
});

void t.test('R16: gemini counts as logged in by the variables that select a login method, in environment or file', async (t) => {
  const { program, checks, folder } = await place(t);
  const bin = await program('echo 0.61.0');
  const none = { HOME: folder, GEMINI_API_KEY: '', GOOGLE_API_KEY: '', GOOGLE_APPLICATION_CREDENTIALS: '' };
  const login = async (env: Readonly<Record<string, string>>) =>
    (await checks(gemini({ bin, cwd: 'project', env: { ...none, ...env } })))['login'];
  t.match(await login({}), { ok: false, message: /not logged in/ });
  const vertex = { GOOGLE_GENAI_USE_VERTEXAI: 'true' };
  t.match(await login(vertex), { ok: false, message: /needs GOOGLE_CLOUD_PROJECT and GOOGLE_CLOUD_LOCATION, or GOOGLE_API_KEY/ });
  t.match(await login({ ...vertex, GOOGLE_CLOUD_PROJECT: 'p' }), { ok: false });
  t.match(await login({ ...vertex, GOOGLE_CLOUD_PROJECT: 'p', GOOGLE_CLOUD_LOCATION: 'here' }), {
    ok: true,
    message: 'login method: Vertex AI',
  });
  t.match(await login({ ...vertex, GOOGLE_API_KEY: 'k' }), { ok: true });
  t.match(await login({ GOOGLE_GENAI_USE_GCA: 'true' }), { ok: true, message: 'GOOGLE_GENAI_USE_GCA is set' });
  t.match(await login({ CLOUD_SHELL: 'true' }), { ok: true });
  t.match(await login({ GEMINI_CLI_USE_COMPUTE_ADC: 'false' }), { ok: false }, 'only "true" counts');
  await writeFile(join(folder, 'project', '.env'), "GOOGLE_GENAI_USE_VERTEXAI=true\nGOOGLE_CLOUD_PROJECT='p'\n");
  t.match(await login({ GOOGLE_CLOUD_LOCATION: 'here' }), { ok: true });
  t.match(await login({}), { ok: false });
});

void t.test('R16: settings with which a program does not start are not reported as a missing login', async (t) => {
  const { program, checks, folder } = await place(t);
  const programOf = (version: string, words: string) =>
    program(`[ "$1" = --version ] && echo '${version}' || { printf '${words}' >&2; exit 1; }`);
  const bin = await programOf(
    'OpenClaw 2026.9.6 (eb377ac)',
    'Failed to read config at /h/openclaw.json: JSON5: invalid end of input at 2:1\\n[openclaw] Help: openclaw --help\\n',
  );
  t.match(await checks(openclaw({ bin, cwd: 'project' })), {
    settings: { ok: false, message: /Failed to read config at \/h\/openclaw\.json: JSON5: invalid end/ },
    login: undefined,
  });
  const lost = await programOf('OpenClaw 2026.9.6', 'no key for openai\\n');
  t.match(await checks(openclaw({ bin: lost, cwd: 'project' })), {
    login: { ok: false, message: /code 1: no key for openai\.$/, hint: /^Run "openclaw models auth login"/ },
  });

  const env = { HOME: folder };
  const broken = await programOf('2.1.328 (Claude Code)', 'Configuration error in /h/.claude.json: Unexpected EOF\\n');
  const login = { ok: false, message: /auth status" exited with code 1: Configuration error in \/h\/\.claude\.json: Unexpected EOF/ };
  t.match(await checks(claudeCode({ bin: broken, cwd: 'project', env })), { login });
  const greets = await program(
    `read -r line; echo '{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":1,"agentInfo":{"name":"c","version":"0.100.0"}}}'`,
  );
  const overAcp = async () => (await checks(acp({ agent: 'claude', bin: greets, cwd: 'project', env })))['settings'];
  t.equal(await overAcp(), undefined);
  await writeFile(join(folder, '.claude.json'), '{ "a": ');
  t.match(await overAcp(), { ok: false, message: /\.claude\.json" is not JSON, so Claude Code does not start: / });
  await writeFile(join(folder, '.claude.json'), '{}');
  await mkdir(join(folder, 'project', '.claude'));
  await writeFile(join(folder, 'project', '.claude', 'settings.json'), '{ "permissions": { "deny": ["Bash"] }, }');
  t.match(await overAcp(), { ok: false, message: /settings\.json" is not JSON, so Claude Code ignores it/ });
  const other = await program("printf 'Error: Config file at opencode.json is not valid\\n--- End ---\\n^\\n' >&2; exit 1");
  t.match(await checks(acp({ agent: 'opencode', model: 'a/b', bin: other, cwd: 'project' })), {
    program: { ok: false, message: /Config file at opencode\.json is not valid/ },
  });
});

void t.test('settings with an error are found before a task is assigned, whatever the login check says', async (t) => {
  const { program, checks, folder } = await place(t);
  const bin = await program(claude('2.1.328', true));
  const env = { HOME: folder };
  await mkdir(join(folder, '.claude'));
  const settings = async (file: string, text: string) => {
    await writeFile(join(folder, file), text);
    return (await checks(claudeCode({ bin, cwd: 'project', env })))['settings'];
  };
  t.equal(await settings('.claude/settings.json', ' \n'), undefined, 'an empty one counts as none');
  t.equal(await settings('.claude/settings.json', '\uFEFF{}'), undefined);
  const mistake = { ok: false, message: /settings\.json" is not JSON, so Claude Code ignores it, including everything that it forbids: / };
  t.match(await settings('.claude/settings.json', '{ "permissions": { "deny": ["Bash"] }, }'), mistake);
  t.equal(await settings('.claude/settings.json', '{}'), undefined);
  await mkdir(join(folder, 'project', '.claude'));
  t.match(await settings('project/.claude/settings.local.json', '{} // mine'), { ok: false, message: /settings\.local\.json/ });
  t.match(await checks(claudeCode({ bin, cwd: 'project', env, ignoreChecks: ['settings'] })), { settings: { ok: true } });

  const output = 'Error loading configuration: /h/.codex/config.toml:1:1: invalid key-value pair';
  const codexBin = await program(`[ "$1" = --version ] && echo 'codex-cli 0.169.0' || { echo '${output}' >&2; exit 1; }`);
  t.match(await checks(codex({ bin: codexBin, cwd: 'project', env: { CODEX_API_KEY: 'k' } })), {
    settings: { ok: false, message: /config\.toml:1:1: invalid key-value pair/ },
    login: undefined,
  });

  const lists = async (script: string) => {
    const opencodeBin = await program(`[ "$1" = --version ] && echo 1.18.33 || { ${script}; }`);
    return (await checks(opencode({ bin: opencodeBin, cwd: 'project', model: 'a/b' })))['settings'];
  };
  t.match(await lists("echo 'opencode/big'; echo 'a/b'"), { ok: true });
  t.match(await lists("echo 'opencode/big'"), { ok: false, message: /models" has no a\/b/ });
  t.match(await lists("echo 'Config file at opencode.json is not valid JSON(C)' >&2; exit 1"), {
    ok: false,
    message: /code 1: .*not valid JSON/,
  });
});
