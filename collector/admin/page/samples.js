/** Messages to begin with, each for something that a parser does. All values are made up. */

/** @type {{name: string, parser: string, raw: string}[]} */
export const SAMPLES = [
  {
    name: "Cybereason: user added, a custom field by its label",
    parser: "cybereason",
    raw:
      "CEF:0|Cybereason|Cybereason|1.0|6|Malop User Added|5|" +
      "cs1=11.42 cs1Label=MalopId duser=alice dhost=laptop-7 newField=not known",
  },
  {
    name: "Cybereason: process, its prefix eaten by a relay",
    parser: "cybereason",
    raw:
      "0|Cybereason|Cybereason|1.0|2|Malop Process Added|5|cs1=11.42 cs1Label=MalopId " +
      "cs4=76030baf8e80653b883474f56c06164c33417ece cs4Label=processSha1 flexString2=True " +
      "flexString2Label=isMalicious rt=1629700682928 request=C:\\\\Users\\\\alice\\\\invoice.pdf.exe",
  },
  {
    name: "Cybereason: no CEF at all",
    parser: "cybereason",
    raw: "the quick brown fox jumps over the lazy dog",
  },
  {
    name: "HarfangLab: process alert",
    parser: "harfanglab",
    raw: JSON.stringify(
      {
        log_type: "alert",
        alert_subtype: "process",
        alert_type: "sigma",
        alert_time: "2026-03-15T07:26:01.276+00:00",
        level: "low",
        rule_name: "Discovery of processes",
        agent: { hostname: "pc123", ostype: "windows", osproducttype: "Windows 10 Pro", version: "2.12.6" },
        process: {
          pid: 11320,
          image_name: "C:\\Windows\\SysWOW64\\tasklist.exe",
          commandline: "tasklist /v",
          username: "EXAMPLE\\alice",
          hashes: { md5: "0a4448b31ce7f83cb7691a2657f330f1" },
          integrity_level: "Medium",
        },
        tags: ["attack.discovery", "attack.t1057"],
      },
      null,
      2,
    ),
  },
  {
    name: "HarfangLab: cut on its way",
    parser: "harfanglab",
    raw: '{"log_type": "alert", "agent": {"hostname": "pc1',
  },
  {
    name: "Markup and what hides, behind a syslog header",
    parser: "cybereason",
    raw:
      "<13>1 2026-03-15T07:26:01Z host app - - - CEF:0|Cybereason|Cybereason|1.0|6|Malop User Added|5|" +
      "duser=<script>alert(1)</script> dhost=evil\u202egnp.exe msg=bell \u0007 and escape \u001b[31m",
  },
];
