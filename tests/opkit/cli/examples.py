"""The examples that `--help` shows, by what they need and by how they end."""

from __future__ import annotations

ELSEWHERE = {
    "opkit devnet chaos restart harbor --state monday --for 5m": "tests/devnet/test_chaos.py",
    "opkit demo a --database postgresql:///opkit": "tests/flows/test_on_postgres.py",
    "opkit devnet up big --database postgresql:///opkit": "tests/devnet/test_databases.py",
    "opkit net sim --nodes 500 --loss 0.1 --churn 0.2": "bench/sim.py",
    "opkit net sim --nodes 500 --seed 7 --loss 0.1 --plot out.html": "tests/opkit/cli/test_net.py",
    **dict.fromkeys(
        (
            "opkit agreement propose terms.toml",
            "opkit agreement propose --adopt 1f0c6b --as hugo",
            "opkit agreement sign adopt-1f0c6b2d3e4f5a6b",
            "opkit agreement show 1f0c6b",
            "opkit agreement show 1f0c6b --out agreement.json",
            "opkit agreement list --state active",
            "opkit agreement end 1f0c6b",
            "opkit agreement bring agreement.json --node fingerlakes-cdn",
            "opkit agreement verify agreement.json",
            "opkit agreement verify agreement.json --genesis network.jws",
            "opkit clearing positions",
            "opkit clearing positions --node brightworks-cooperative",
            "opkit clearing settle --agreement 1f0c6b --period 2026-03",
            "opkit exchange list",
            "opkit exchange list --doubt",
            "opkit exchange list --doubt --json",
            "opkit exchange offer --agreement 1f0c6b --payer mill --payee inn --amount 9",
            "opkit exchange show 4f1d7c",
        ),
        "tests/opkit/cli/test_agreement.py",
    ),
    **dict.fromkeys(
        (
            "opkit clearing net --leg inn:mill:9:1f0c… --leg mill:yard:9:77ab… --leg …",
            "opkit clearing net --with birch --with cedar",
        ),
        "tests/opkit/cli/test_clearing.py",
    ),
    **dict.fromkeys(
        (
            "opkit audit gather --as zuri --out audit.json",
            "opkit audit gather --as zuri --receipt receipt.json",
            "opkit audit verify audit.json",
            "opkit audit verify audit.json --genesis network.jws",
            "opkit audit report audit.json --out funders",
        ),
        "tests/opkit/cli/test_audit.py",
    ),
}
"""Examples that need more than this group of tests has, and what runs their like."""

STAYS = {
    "opkit devnet logs bright --follow": "event",
    "opkit devnet logs harbor -f": "event",
    "opkit events tail --follow --type compute.": "compute.",
    "opkit events tail --node harbor-homes-cooperative --follow": "compute.",
    "opkit dash": "look on",
    "opkit dash --devnet default --port 0 --no-browser": "look on",
    "opkit dash --base-url https://demo.example/opkit/": "look on",
    "opkit node run ~/node/config.toml": "serving",
}
"""Examples that go on until Ctrl-C, and what they say once they do."""

ENDS_WITH = {
    "opkit node status ~/node/config.toml": 1,
    "opkit proposal close paint": 1,
    "opkit proposal execute roof": 1,
    "opkit decision omission paint.json --vote my-vote.json": 1,
    "opkit service find --type machine-booking --region north --verbose": 1,
    "opkit service find --capability turning --json": 1,
}
"""Exit codes other than 0: no such node runs, voting is not over, no vote was left out."""

TYPED = {"opkit demo a --present --devnet default": "quit\n"}
"""What is typed at examples that ask."""

PROCESSES = ("opkit demo", "opkit devnet up", "opkit record")
"""How examples begin that start what outlives them, or that are best left to a process."""

OF_SEVERAL = {
    *(
        "card",
        "compute",
        "decision",
        "devnet",
        "dht",
        "federation",
        "grant",
        "hold",
        "identity",
        "journal",
        "ledger",
    ),
    *("member", "name", "node", "proposal", "receipt", "service", "wasm"),
}
"""Groups whose commands are counted one by one; of others one example shows the process."""

ALONE = """\
opkit identity new ada --passphrase
opkit identity show ada
opkit identity show ada --json
opkit demo
opkit demo a --out run --junit run.xml
opkit report verify runs/2026-01-05
opkit report verify DIR
opkit report verify DIR --genesis network.jws
opkit record a --out replay.html
opkit report verify replay.html
opkit dash
opkit dash --base-url https://demo.example/opkit/
opkit net sim
opkit net sim --nodes 30 --partition 0.3@5-15 --liars wrong:0.05,forged:0.05
opkit net sim --nodes 20 --seconds 10 --json
opkit net sim --nodes 12 --loss 0.1 --churn 0.2 --seeds 5
"""
"""What needs no network, or makes one of its own."""

ON_A_DEVNET = """\
opkit devnet up
opkit devnet status
opkit devnet seed
opkit devnet status --json
opkit devnet logs bright --follow
opkit devnet logs harbor -f
opkit doctor --devnet default
opkit identity new ada
opkit login --as mara --scope wasm:read
opkit member list
opkit member list --node harbor-homes-cooperative
opkit member add ada --key DID --name Ada --role guest
opkit member revoke ada
opkit member add river-city-tool-library/ada --key DID --name Ada
opkit member revoke river-city-tool-library/ada
opkit member rekey river-city-tool-library/theo --key DID
opkit proposal open paint --title "Paint the hall"
opkit proposal vote paint yes
opkit proposal show paint
opkit proposal votes paint
opkit proposal votes paint --json
opkit proposal open roof --title R --from reserve --to vendor/x --amount 5
opkit proposal open later --title "Not yet" --draft
opkit proposal open later
opkit proposal list --state open
opkit proposal vote paint no --out my-vote.json
opkit proposal delegate theo
opkit proposal delegate nobody
opkit proposal close paint
opkit proposal execute roof
opkit proposal cancel paint
opkit decision fetch paint --out paint.json
opkit decision fetch paint --attested --out attested.json
opkit decision verify paint.json
opkit decision verify paint.json --genesis network.jws
opkit decision omission paint.json --vote my-vote.json
opkit federation vouch DID
opkit federation members
opkit federation members --node harbor-homes-cooperative --json
opkit federation register --title "River City Tool Library"
opkit federation attest brightworks-cooperative insured "Insured until May."
opkit federation attestations
opkit federation attestations --subject brightworks-cooperative --valid
opkit federation revoke brightworks-cooperative insured
opkit federation forks
opkit federation log
opkit federation log --max 10 --json
opkit federation objects --node brightworks-cooperative
opkit federation vouch DID --as hugo
opkit federation vouch DID --expel --as hugo
opkit wasm deploy patronage.wasm
opkit wasm deploy patronage.wasm --as mara
opkit wasm list --owner river-city-tool-library/mara
opkit wasm get bafkrei… --out copy.wasm
opkit peers
opkit peers --node harbor-homes-cooperative --json
opkit dht put opening-hours "Mon 9-12"
opkit dht get opening-hours
opkit dht route opening-hours
opkit dht provide bafkrei…
opkit dht providers bafkrei…
opkit dht put opening-hours
opkit name register lathe --type booking --endpoint opkit=/v1/compute
opkit name register workshop --alias lathe.river-city-tool-library
opkit name register lathe --type machine-booking
opkit service find
opkit service find --type machine-booking
opkit service find --type machine-booking --region north --verbose
opkit service find --capability turning --json
opkit name renew lathe --days 30
opkit name get lathe.river-city-tool-library
opkit name list
opkit name list --prefix lathe --max 10
opkit name import names.jsonl
opkit name withdraw lathe
opkit ledger post fee --from equity/opening --to member/theo --amount 12000
opkit ledger post tea --line member/theo=-300 --line income=300 --as theo
opkit ledger history
opkit ledger history --max 10
opkit ledger history --member theo --unit commons-credits --since 2026-01-01
opkit ledger history --account equity/opening --oldest --json
opkit ledger entry fee
opkit ledger position
opkit ledger position theo
opkit ledger position theo --json
opkit ledger accounts
opkit ledger accounts --prefix member/
opkit hold create d7 --from member/theo --to income --amount 5000 --as theo
opkit hold create d8 --from equity/opening --to member/ines --amount 9
opkit hold list
opkit hold list --state held
opkit hold list --account member/theo --json
opkit hold post d7 --amount 3000 --as theo
opkit hold show d7
opkit hold void d8 --as ines
opkit ledger trial-balance
opkit ledger statement member/theo
opkit ledger statement equity/opening --out opening.csv
opkit ledger audit
opkit ledger audit --coop brightworks-cooperative --as hugo --verbose
opkit card publish agent.json
opkit card publish agent.json --region eu-west
opkit card update agent.json
opkit card resolve AGENT
opkit card show AGENT --out card.json
opkit card show AGENT --format jsonld
opkit card verify card.json
opkit card verify card.json --genesis network.jws
opkit card revoke
opkit compute submit bafkrei… --input "hello" --executor any
opkit compute submit bafkrei… --input "hello" --receipt receipt.json
opkit compute submit bafkrei… --input-file hours.txt --executor harbor
opkit compute status TASK_ID
opkit compute status 0123… --wait-ms 10000
opkit compute cancel TASK_ID
opkit compute cancel 0123…
opkit grant give --tasks 100
opkit grant give --tasks 5 --fuel 2000000000 --days 7 --module bafkrei…
opkit grant list
opkit grant revoke GRANT
opkit receipt verify receipt.json
opkit receipt verify receipt.json --genesis network.jws
opkit receipt replay receipt.json --module a.wasm --input-file in.txt
opkit events tail
opkit events tail --follow --type compute.
opkit events tail --node harbor-homes-cooperative --follow
opkit events tail --after 1.42.6f1e…
opkit journal verify --keep head.json
opkit journal verify --earlier head.json
opkit journal verify --earlier head.json --keep head.json
opkit journal prove 42 --out entry.json
opkit journal verify entry.json --genesis network.jws
opkit journal witnesses
opkit journal witnesses --node harbor-homes-cooperative --json
opkit devnet hostile tampering-provider harbor
opkit devnet stop-hostile 1
opkit demo a --devnet default
opkit demo a --present --devnet default
opkit rehearse
opkit rehearse a --devnet default
opkit record --devnet default --pace 0.5
opkit dash --devnet default --port 0 --no-browser
opkit devnet cut bright harbor
opkit devnet heal bright harbor
opkit devnet heal
opkit devnet kill harbor
opkit devnet restart harbor
opkit devnet chaos --help
opkit devnet chaos loss 0.2
opkit devnet chaos loss 0.05 bright harbor --for 90s --seed 7
opkit devnet chaos list
opkit devnet chaos heal
opkit devnet chaos delay 50
opkit devnet chaos delay 50 --jitter 10 bright harbor
opkit devnet chaos rate 256 harbor --for 90s
opkit devnet chaos cut bright harbor --for 2m
opkit devnet chaos heal bright harbor
opkit devnet chaos partition river bright,harbor
opkit devnet chaos heal
opkit devnet chaos partition harbor --for 1m
opkit devnet chaos heal
opkit devnet chaos kill harbor --for 1m
opkit devnet chaos restart harbor
opkit devnet chaos save harbor monday
opkit devnet chaos skew harbor --ahead 1h
opkit devnet chaos heal
opkit devnet chaos pause harbor --for 30s
opkit devnet chaos heal 3
opkit devnet down
opkit devnet reset default
opkit devnet up --profile three
opkit devnet reset
opkit devnet up big --profile federation
"""
"""What is done with a devnet, from its start to its end, and then with a larger one."""

ON_A_NODE = """\
opkit node init ~/node --org our-coop
opkit node init ~/node --org our-coop --genesis network.jws
opkit node run ~/node/config.toml
opkit node status ~/node/config.toml
opkit doctor ~/node/config.toml
opkit node backup ~/node/config.toml /mnt/disk/monday
opkit node backup ~/node/config.toml /mnt/disk/node-monday
opkit node restore /mnt/disk/monday ~/node/config.toml
opkit node restore /mnt/disk/node-monday ~/node/config.toml
opkit node new-generation ~/node/config.toml
opkit node new-generation ~/node/config.toml --reason "disk lost"
"""
"""What is done with a node of one's own."""
