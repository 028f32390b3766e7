/** TypeScript as plain JavaScript: types become blanks, so that lines and columns match the source. */
import blankSpace from 'ts-blank-space';

/** `source` names the text in errors. Its own imports are those of compiled files. */
export function plainScript(source: string, text: string): string {
  const script = blankSpace(text, (node) => {
    throw new Error(`${source} has syntax that cannot become JavaScript by erasing types: ${node.getText()}`);
  });
  return script.replace(/((?:from|import|import\()\s*'\.[^']*)\.ts'/g, "$1.js'");
}
