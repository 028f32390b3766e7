/** What is written for each service manager: generated on any platform. */
import t from 'tap';
import { launchdUnit } from '../../../apps/service/launchd.ts';
import { unitFor } from '../../../apps/service/manager.ts';
import type { Installer, ServicePlan } from '../../../apps/service/service-plan.ts';
import { systemdUnit } from '../../../apps/service/systemd.ts';
import { windowsTask } from '../../../apps/service/windows.ts';

const ME: Installer = { home: '/users/me', uid: 1000, userName: 'me' };
const plan = (more: Partial<ServicePlan> = {}): ServicePlan => ({
  part: 'hub',
  name: 'agentcom-hub',
  description: 'AgentCom hub',
  argv: ['/usr/bin/node', '/srv/app/bin.mjs', 'hub', '--config', '/srv/app/agentcom.config.ts'],
  folder: '/srv/app',
  dataDir: '/srv/app/data/hub',
  archiveDir: null,
  environment: { PATH: '/usr/bin' },
  runAs: null,
  ...more,
});
const HOSTILE = `/srv/a b/100%/$HOME/"q"/\\x/<&>'`;

t.test('systemd: user units and system units', (t) => {
  const mine = systemdUnit(plan(), ME);
  t.equal(mine.file, '/users/me/.config/systemd/user/agentcom-hub.service');
  t.same(mine.install[1], ['systemctl', '--user', 'enable', 'agentcom-hub.service']);
  t.match(mine.text, /WantedBy=default\.target/);
  t.notMatch(mine.text, /User=|ProtectSystem/);
  t.match(mine.notes.join('\n'), /loginctl enable-linger me/);
  t.equal(systemdUnit(plan(), { ...ME, configHome: '/cfg' }).file, '/cfg/systemd/user/agentcom-hub.service');
  const systems = systemdUnit(plan({ runAs: 'agentcom' }), ME);
  t.equal(systems.file, '/etc/systemd/system/agentcom-hub.service');
  t.same(systems.status.slice(0, 2), ['systemctl', 'status']);
  t.match(
    systems.text,
    /User=agentcom\n[^]*ProtectSystem=strict\nReadWritePaths="\/srv\/app" "-\/srv\/app\/data\/hub"\n[^]*WantedBy=multi-user\.target/,
  );
  t.end();
});

t.test('systemd: folders of a system hub outside that of its config are writable, and must exist when it is installed', (t) => {
  const away = { dataDir: '/var/lib/hub', archiveDir: '/srv/archive' };
  const { text, folders } = systemdUnit(plan({ runAs: 'agentcom', ...away }), ME);
  t.match(text, '\nReadWritePaths="/srv/app" "-/var/lib/hub" "-/srv/archive"\n');
  t.same(folders, ['/var/lib/hub', '/srv/archive']);
  t.same(
    systemdUnit(plan({ runAs: 'agentcom', archiveDir: '/srv/app/..archive' }), ME).folders,
    [],
    'the hub makes those in its own folder',
  );
  t.same(systemdUnit(plan(away), ME).folders, [], 'a hub of a user may make folders wherever that user may');
  t.end();
});

t.test('systemd: the service restarts unless it needs an operator, and notifies when ready', (t) => {
  const { text } = systemdUnit(plan(), ME);
  for (const line of ['Type=notify', 'TimeoutStartSec=900', 'WatchdogSec=120', 'Restart=on-failure', 'RestartPreventExitStatus=2 5'])
    t.match(text, `\n${line}\n`);
  t.end();
});

t.test('agents outlive their sidecar', (t) => {
  const sidecar = plan({ part: 'sidecar', name: 'agentcom-sidecar-w1' });
  t.match(systemdUnit(sidecar, ME).text, /\nKillMode=process\n/);
  t.notMatch(systemdUnit(plan(), ME).text, /KillMode/);
  t.notMatch(systemdUnit(sidecar, ME).text, /NoNewPrivileges/, 'its agents may need privileges that the hub does not');
  t.match(launchdUnit(sidecar, ME).text, /<key>AbandonProcessGroup<\/key>\n {2}<true\/>/);
  t.end();
});

t.test('a path with any characters stays a single argument', (t) => {
  const hostile = plan({ argv: ['/usr/bin/node', HOSTILE], folder: HOSTILE, environment: { PATH: HOSTILE } });
  const systemd = systemdUnit(hostile, ME).text;
  t.match(systemd, `ExecStart="/usr/bin/node" "/srv/a b/100%%/$$HOME/\\"q\\"/\\\\x/<&>'"\n`);
  t.match(systemd, `Environment="PATH=/srv/a b/100%%/$HOME/\\"q\\"/\\\\x/<&>'"\n`);
  t.match(launchdUnit(hostile, ME).text, '<string>/srv/a b/100%/$HOME/&quot;q&quot;/\\x/&lt;&amp;&gt;&apos;</string>');
  const windows = windowsTask(plan({ argv: ['node.exe', 'a "b" c', 'C:\\dir\\'], dataDir: 'C:\\data' }));
  t.equal(windows.file, 'C:\\data\\agentcom-hub.xml');
  t.match(windows.text, '<Arguments>&quot;a \\&quot;b\\&quot; c&quot; &quot;C:\\dir\\\\&quot;</Arguments>');
  t.end();
});

t.test('systemd: a folder that a unit file cannot express is refused', (t) => {
  for (const folder of ['/srv/app\\', '/srv/app ', '/srv/a\npp'])
    t.throws(() => systemdUnit(plan({ folder }), ME), { code: 'AC_SERVICE', message: /folder/ }, JSON.stringify(folder));
  t.end();
});

t.test('launchd and the Task Scheduler', (t) => {
  const mine = launchdUnit(plan(), ME);
  t.match(mine, { folders: [], logFolder: '/srv/app/data/hub' });
  t.match(launchdUnit(plan({ runAs: 'agentcom' }), ME), { folders: ['/srv/app/data/hub'], logFolder: null }, 'that root would own');
  t.equal(mine.file, '/users/me/Library/LaunchAgents/agentcom-hub.plist');
  t.same(mine.install, [['launchctl', 'bootstrap', 'gui/1000', mine.file]]);
  t.same(mine.stop, ['launchctl', 'bootout', 'gui/1000/agentcom-hub']);
  const systems = launchdUnit(plan({ runAs: 'agentcom' }), ME);
  t.equal(systems.file, '/Library/LaunchDaemons/agentcom-hub.plist');
  t.match(systems.text, '<key>UserName</key>\n  <string>agentcom</string>');
  const task = windowsTask(plan());
  t.equal(task.encoding, 'utf16le');
  t.equal(task.text.charCodeAt(0), 0xfeff);
  t.same(task.stop, ['schtasks', '/End', '/TN', 'agentcom-hub'], 'a running task is not started a second time');
  t.match(task.text, /<RestartOnFailure>/);
  t.throws(() => unitFor('win32', plan({ runAs: 'x' }), ME), { code: 'AC_SERVICE', message: /for the user who installs it/ });
  t.throws(() => unitFor('sunos', plan(), ME), { code: 'AC_SERVICE', message: /sunos/ });
  t.end();
});
