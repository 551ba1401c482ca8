import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import configuration from "../deno.json" with { type: "json" };

/** A made-up machine: its own folder with `run`, its own PATH, its own drivers. */
class Machine implements Disposable {
  readonly root = Deno.makeTempDirSync({ prefix: "run test " });
  readonly project = join(this.root, "project");
  readonly bin = join(this.root, "bin");
  readonly system = join(this.root, "system");

  constructor() {
    for (const folder of [this.project, this.bin, this.system]) Deno.mkdirSync(folder);
    Deno.copyFileSync(fromFileUrl(new URL("../run", import.meta.url)), join(this.project, "run"));
    const tools = "awk cat chmod dirname env find ls mkdir mktemp mv rm sed sh tail touch";
    for (const tool of tools.split(" ")) {
      const path = ["/bin", "/usr/bin"].map((folder) => join(folder, tool)).find((path) => {
        try {
          return Deno.statSync(path);
        } catch {
          return undefined;
        }
      });
      Deno.symlinkSync(path!, join(this.bin, tool));
    }
    this.command("uname", "echo Linux");
    this.command("id", "echo 0");
    this.driver();
  }

  /** Puts a command on the PATH; each call of it is a line of `calls()`. */
  command(name: string, script: string): void {
    const path = join(this.bin, name);
    const log = `echo "${name} $*" >>"${this.root}/calls"`;
    Deno.writeTextFileSync(path, `#!/bin/sh\n${log}\n${script}\n`);
    Deno.chmodSync(path, 0o755);
  }

  /** A deno that tells its version and what task it was to run; it reaches JSR or not. */
  static deno(version: string, reachesJsr = true): string {
    return `case $1 in
      --version) echo "deno ${version} (stable, release, made-up)" ;;
      eval) exit ${reachesJsr ? 0 : 1} ;;
      *) echo "deno ${version}: $*"
         echo "JSR_URL=\${JSR_URL-} \${DENO_WEBGPU_BACKEND-} \${XDG_RUNTIME_DIR:+runtime}" ;;
    esac`;
  }

  driver(): void {
    Deno.mkdirSync(join(this.system, "usr/lib/made-up"), { recursive: true });
    Deno.mkdirSync(join(this.system, "usr/share/vulkan/icd.d"), { recursive: true });
    Deno.writeTextFileSync(join(this.system, "usr/lib/made-up/libvulkan.so.1"), "");
    Deno.writeTextFileSync(join(this.system, "usr/share/vulkan/icd.d/lvp_icd.json"), "{}");
  }

  noDriver(): void {
    Deno.removeSync(join(this.system, "usr"), { recursive: true });
  }

  run(args: string[] = ["hello"], env: Record<string, string> = {}): {
    code: number;
    output: string;
    errors: string;
  } {
    const { code, stdout, stderr } = new Deno.Command("/bin/sh", {
      args: [join(this.project, "run"), ...args],
      env: { PATH: this.bin, HOME: this.root, LENGTHWISE_SYSTEM_ROOT: this.system, ...env },
      clearEnv: true,
    }).outputSync();
    const decoder = new TextDecoder();
    return { code, output: decoder.decode(stdout), errors: decoder.decode(stderr) };
  }

  /** The calls so far of a command. */
  calls(name: string): string[] {
    let calls = "";
    try {
      calls = Deno.readTextFileSync(join(this.root, "calls"));
    } catch {
      // nothing was called
    }
    return calls.split("\n").filter((line) => line.startsWith(`${name} `));
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.root, { recursive: true });
  }
}

const NPM = (script: string): string =>
  `case $1 in config) echo https://registry.example ;; install)
     shift; [ "$1" = --prefix ] || exit 1
     mkdir -p "$2/node_modules/@deno/linux-made-up"
     cat >"$2/node_modules/@deno/linux-made-up/deno" <<'DENO'\n#!/bin/sh\n${script}\nDENO
   esac`;

function test(name: string, fn: (machine: Machine) => void): void {
  Deno.test({
    name: `run: ${name}`,
    ignore: Deno.build.os === "windows",
    fn: () => {
      using machine = new Machine();
      fn(machine);
    },
  });
}

/** Gives the machine this repository's deno.json. */
function withTasks(machine: Machine): void {
  const file = fromFileUrl(new URL("../deno.json", import.meta.url));
  Deno.copyFileSync(file, join(machine.project, "deno.json"));
}

test("without a task it lists all of them, one per line", (machine) => {
  withTasks(machine);
  const { code, output } = machine.run([]);
  assertEquals(code, 0);
  const listed = [...output.matchAll(/^ {2}\.\/run (\S+) +(\S.*)$/gm)];
  assertEquals(
    listed.map(([, name, about]) => [name, about]),
    Object.entries(configuration.tasks).map(([name, { description }]) => [name, description]),
  );
});

test("a mistyped task gets a suggestion, and nothing is installed", (machine) => {
  withTasks(machine);
  for (
    const [typed, said] of [
      ["sweeep", "run: Unknown task sweeep. Did you mean ./run sweep?\n"],
      ["docs-check", "run: Unknown task docs-check. Did you mean ./run docs:check?\n"],
      ["everything", "run: Unknown task everything: ./run lists all\n"],
    ]
  ) {
    const { code, output, errors } = machine.run([typed]);
    assertEquals([code, output, errors], [1, "", said]);
  }
  assertEquals(machine.calls("apt-get"), []);
});

test("without a task it tells its usage and installs nothing", (machine) => {
  machine.noDriver();
  for (const args of [[], ["--help"]]) {
    const { code, output } = machine.run(args);
    assertEquals(code, 0);
    assertMatch(output, /^Usage: \.\/run TASK/);
  }
  assertEquals(machine.calls("npm"), []);
});

for (const version of ["2.9.0", "2.9.6", "2.10.1", "3.0.0"]) {
  test(`deno ${version} on the PATH is used`, (machine) => {
    machine.command("deno", Machine.deno(version));
    machine.command("npm", "exit 1");
    const { code, output, errors } = machine.run(["hello", "a b", "--seeds", "3"]);
    assertEquals([code, errors], [0, ""]);
    const config = join(machine.project, "deno.json");
    assertStringIncludes(output, `deno ${version}: task --config ${config} hello a b --seeds 3\n`);
    assertStringIncludes(output, "JSR_URL= vulkan runtime\n");
    assertEquals(machine.calls("npm"), []);
  });
}

test("a task that is one `deno run` is run as that, which fetches no more than it imports", (machine) => {
  machine.command("deno", Machine.deno("2.9.6"));
  const tasks = {
    sweep: "deno run --allow-read --allow-env=A,B tasks/main.ts sweep",
    test: "deno test -A",
    ok: "deno lint && deno run x.ts",
  };
  const config = join(machine.project, "deno.json");
  Deno.writeTextFileSync(config, JSON.stringify({ tasks }, undefined, 2));
  for (const first of [true, false]) {
    const { code, output, errors } = machine.run(["sweep", "--out", "a b", "*"]);
    assertEquals([code, errors !== ""], [0, first], errors);
    assertStringIncludes(
      output,
      "deno 2.9.6: run --quiet --allow-read --allow-env=A,B tasks/main.ts sweep --out a b *\n",
    );
  }
  assertStringIncludes(machine.run(["ok"]).output, `task --config ${config} ok\n`);
  for (const task of ["none", "s"]) assertEquals(machine.run([task]).code, 1);
});

test("the tasks of deno.json that a new machine runs are one `deno run` each", (machine) => {
  machine.command("deno", Machine.deno("2.9.6"));
  withTasks(machine);
  for (const task of ["sweep", "eval", "train", "merge", "ruler", "report"]) {
    assertMatch(
      machine.run([task]).output,
      new RegExp(`^deno 2\\.9\\.6: run --quiet --allow-read .*tasks/main\\.ts ${task}\n`),
    );
  }
});

for (const version of ["1.46.3", "2.8.9", ""]) {
  test(`deno "${version}" is too old: npm's is installed, once`, (machine) => {
    machine.command("deno", version === "" ? "exit 1" : Machine.deno(version));
    machine.command("npm", NPM(Machine.deno("2.9.6")));
    for (const first of [true, false]) {
      const { code, output, errors } = machine.run();
      assertEquals(code, 0, errors);
      assertMatch(output, /^deno 2\.9\.6: task --config .* hello\n/);
      assertEquals(errors === "", !first, errors);
    }
    assertEquals(machine.calls("npm install").length, 1);
    const left = [...Deno.readDirSync(join(machine.project, ".deno"))].map(({ name }) => name);
    assertEquals(left.sort(), ["bin", "jsr-reached", "runtime"]);
  });
}

test("Deno's own installer comes first where it is reached", (machine) => {
  machine.command("npm", "exit 1");
  machine.command("unzip", "");
  machine.command(
    "curl",
    `while [ $# -gt 1 ]; do [ "$1" = -o ] && out=$2; shift; done
     [ "$out" = /dev/null ] || cat >"$out" <<'INSTALLER'
mkdir -p "$DENO_INSTALL/bin"
cat >"$DENO_INSTALL/bin/deno" <<'DENO'
#!/bin/sh
${Machine.deno("2.9.6")}
DENO
echo "asked for $1" >>"${machine.root}/calls"
INSTALLER`,
  );
  assertMatch(machine.run().output, /^deno 2\.9\.6: task/);
  assertEquals(machine.calls("asked for"), ["asked for v2.9.6"]);
  assertEquals(machine.calls("npm"), []);
});

test("PyPI comes last, and nothing at all is an error that says so", (machine) => {
  machine.command("curl", "exit 6");
  machine.command("npm", "exit 1");
  machine.command("python3", "exit 1");
  const { code, errors } = machine.run();
  assertEquals(code, 1);
  assertMatch(errors, /no Deno 2\.9\.0 or later here, and none could be installed/);
  machine.command(
    "python3",
    `while [ "$1" != --target ]; do shift; done
     mkdir -p "$2/bin" && cat >"$2/bin/deno" <<'DENO'\n#!/bin/sh\n${Machine.deno("2.9.6")}\nDENO`,
  );
  assertMatch(machine.run().output, /^deno 2\.9\.6: task/);
  assertStringIncludes(machine.calls("python3")[1], "deno==2.9.6");
});

test("stand-ins for JSR only where it is not reached, asked for once", (machine) => {
  machine.command("deno", Machine.deno("2.9.6", false));
  const url = `JSR_URL=file://${machine.project.replaceAll(" ", "%20")}/.ci/jsr/ `;
  assertStringIncludes(machine.run().output, url);
  const { output, errors } = machine.run();
  assertStringIncludes(output, url);
  assertEquals(errors, "");
  assertEquals(machine.calls("deno eval").length, 1);
  const given = machine.run(["hello"], { JSR_URL: "https://jsr.example/" });
  assertStringIncludes(given.output, "JSR_URL=https://jsr.example/ ");
});

test("a Vulkan driver is installed once if there is none", (machine) => {
  machine.command("deno", Machine.deno("2.9.6"));
  const there = join(machine.root, "kept");
  Deno.renameSync(join(machine.system, "usr"), there);
  machine.command(
    "apt-get",
    `case "$*" in *install*) mv "${there}" "${machine.system}/usr" ;; esac`,
  );
  for (let i = 0; i < 2; i++) assertMatch(machine.run().output, /^deno 2\.9\.6: task/);
  assertEquals(machine.calls("apt-get"), [
    "apt-get -qq update",
    "apt-get -qq install -y --no-install-recommends libvulkan1 mesa-vulkan-drivers",
  ]);
});

test("what the tests alone need is installed for them alone, once", (machine) => {
  machine.command("deno", Machine.deno("2.9.6"));
  machine.command(
    "apt-get",
    `case "$*" in *install*) for name in chromium slurmctld; do
       touch "${machine.bin}/$name" && chmod +x "${machine.bin}/$name"; done ;; esac`,
  );
  machine.run(["sweep"]);
  assertEquals(machine.calls("apt-get"), []);
  for (const task of ["test", "ok"]) {
    assertMatch(machine.run([task]).output, /^deno 2\.9\.6: task/);
  }
  const install = "apt-get -qq install -y --no-install-recommends";
  assertEquals(machine.calls("apt-get"), [
    "apt-get -qq update",
    `${install} chromium slurmctld slurmd slurm-client`,
  ]);
  Deno.removeSync(join(machine.bin, "chromium"));
  machine.run(["test"], { CHROMIUM: "/opt/browser" });
  assertEquals(machine.calls("apt-get").length, 2);
  Deno.removeSync(join(machine.bin, "apt-get"));
  const { code, errors } = machine.run(["test"]);
  assertEquals([code, errors], [0, "run: the tests need chromium: install what is missing\n"]);
});

test("sudo only for who is not root, and a line where nothing can be installed", (machine) => {
  machine.command("deno", Machine.deno("2.9.6"));
  machine.noDriver();
  assertMatch(machine.run().errors, /^run: no Vulkan driver found: install .*\n$/);
  machine.command("apt-get", "");
  machine.command("id", "echo 1000");
  assertMatch(machine.run().errors, /^run: as root, please: apt-get install libvulkan1 .*\n/);
  assertEquals(machine.calls("apt-get"), []);
  machine.command("sudo", '"$@"');
  assertEquals(machine.run().code, 0);
  assertMatch(machine.calls("sudo")[0], /^sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq/);
});

test("what the installers need is installed where Debian has neither", (machine) => {
  machine.command("apt-get", "");
  machine.run();
  assertEquals(machine.calls("apt-get").filter((call) => call.includes("install")), [
    "apt-get -qq install -y --no-install-recommends ca-certificates curl unzip",
    "apt-get -qq install -y --no-install-recommends npm",
  ]);
});

test("what the caller set stays set", (machine) => {
  machine.command("deno", Machine.deno("2.9.6"));
  const { output } = machine.run(["hello"], { DENO_WEBGPU_BACKEND: "gl" });
  assertStringIncludes(output, "JSR_URL= gl runtime\n");
  machine.command("uname", "echo Darwin");
  assertStringIncludes(machine.run().output, "JSR_URL=  \n");
});
