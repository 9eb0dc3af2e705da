/** Reads and checks manifest.json. */

/** @typedef {import("../mmdata.d.ts").Manifest} Manifest */

const VERSION = 1;

/**
 * @param {import("./files.js").Files} files
 * @returns {Promise<Manifest>}
 */
export async function readManifest(files) {
  const where = files.where(files.manifest);
  const content = await files.read(files.manifest, true).catch((error) => {
    if (error.status !== 404) throw error;
    throw new Error(
      `open(url) must be the folder of an export, with a ${files.manifest}; got none at ${where}. ` +
        "Check the address, or write the folder with: mmdata export-web.",
      { cause: error },
    );
  });
  const manifest = parsed(new TextDecoder().decode(content), where);
  requireVersion(manifest, where);
  requireShards(manifest, where);
  return manifest;
}

/**
 * @param {string} text
 * @param {string} where
 * @returns {Manifest}
 */
function parsed(text, where) {
  try {
    return JSON.parse(text);
  } catch (error) {
    const next = /^\s*</.test(text)
      ? "The server sent an HTML page instead: check that the address is the folder of the export."
      : "Copy or export the folder again.";
    throw new Error(`${where} must be JSON; got "${text.trimStart().slice(0, 40)}". ${next}`, {
      cause: error,
    });
  }
}

/**
 * @param {Manifest} manifest
 * @param {string} where
 */
function requireVersion(manifest, where) {
  if (manifest?.format !== "mmdata web") {
    throw new Error(
      `${where} must have the format "mmdata web"; got ${JSON.stringify(manifest?.format)}. ` +
        "Write the folder with: mmdata export-web.",
    );
  }
  if (manifest.version !== VERSION) {
    const next =
      manifest.version > VERSION
        ? "Use the mmdata.js of the mmdata that exported it: it is in the same folder."
        : "Export again, or use the mmdata.js of the older mmdata.";
    throw new Error(
      `${where} must have version ${VERSION} for this mmdata.js; got ${manifest.version}. ${next}`,
    );
  }
}

/**
 * @param {Manifest} manifest
 * @param {string} where
 */
function requireShards(manifest, where) {
  const { columns, shards, settings } = manifest;
  const names = Object.keys(columns ?? {});
  /** @param {any} file */
  const isFile = (file) => /^[\w.-]+$/.test(file?.file ?? "") && file.bytes >= 0 && file.crc32 >= 0;
  /** @param {import("../mmdata.d.ts").Shard} shard */
  const isComplete = (shard) =>
    settings.splits[shard.split] &&
    names.every((name) => {
      const file = shard.files[name];
      return isFile(file) && (columns[name].kind !== "ragged" || isFile(file.offsets));
    });
  if (!names.includes("image") || !settings?.splits || !shards?.every(isComplete)) {
    throw new Error(
      `${where} must list the files of each shard; got an incomplete list. Export the folder again.`,
    );
  }
}
