/** Loads packages that only some hubs need, once they are chosen. */
import { AgentcomError } from '../../core/errors/agentcom-error.ts';

/** Loads a package. Fails with `AC_PACKAGE_MISSING`, saying how to install it and what to choose instead. */
export async function requirePackage(storage: string, name: string, major: string, load: () => Promise<unknown>): Promise<void> {
  try {
    await load();
  } catch (thrown) {
    const message = `Cannot use storage "${storage}": package ${name} ${major} cannot be loaded. Run: npm install ${name}@${major}. Or choose memory().`;
    throw new AgentcomError('AC_PACKAGE_MISSING', message, { cause: thrown });
  }
}
