"""Logs and results by path, as clients open, export and download them."""

from __future__ import annotations

import base64
import csv
import io
import os
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import grpc
import openpyxl
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from entrance.client import JobHandle, JobStatus
from tests.support.jobs import ended, new_creator, said, texts
from tests.support.paths import ROUTES, ask, refusal, sent
from tests.support.rest import answer_of
from tests.support.service import Caller, Service, running_service
from tests.support.waiting import until

EXAMPLES = settings(
    max_examples=int(os.environ.get("ENTRANCE_EXAMPLES", "30")),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
FILE_RPCS = ["GetDirFileTrees", "OpenFile", "OpenLog", "ResultsetToExcel", "Download"]
WIDE = 7
TALL = 23
SQL = f"""\
SELECT i AS id, i / 4 AS part, CASE WHEN i % 3 = 0 THEN NULL ELSE 'row ' || i END AS name,
  i % 2 = 0 AS even, DATE '2024-02-28' + i::int AS day, [i, NULL] AS list, '=1+1' AS formula
FROM range({TALL}) t(i) ORDER BY i;
SELECT 1 WHERE false;
SELECT 1 AS a, 2 AS a;
"""
PYTHON = """\
from IPython.display import HTML, Image
import base64
print("a line")
display(HTML("<b>bold</b>"))
display(Image(base64.b64decode("%s"), format="png"))
6 * 7
"""
PIXEL = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
        "0000000d49444154789c6360f8cfc0f01f0005000201e221bc330000000049454e44ae426082"
    )
).decode()
TYPES = ["bigint", "double", "string", "boolean", "date", "array", "string"]


@pytest.fixture(scope="module")
def table(service: Service) -> JobHandle:
    job = service.alice.client.submit(SQL, engine="duckdb", creator=new_creator())
    ended(job, JobStatus.SUCCEED)
    return job


@pytest.fixture(scope="module")
def display(service: Service) -> JobHandle:
    job = service.alice.client.submit(PYTHON % PIXEL, engine="python", creator=new_creator())
    ended(job, JobStatus.SUCCEED)
    return job


@pytest.fixture(scope="module")
def script(service: Service) -> JobHandle:
    code = """\
echo first
echo
echo '2030-01-31 08:00:00 ERROR wrong'
echo '2030-01-31 08:00:00 WARN beware'
"""
    job = service.alice.client.submit(code, engine="shell", creator=new_creator())
    ended(job, JobStatus.SUCCEED)
    return job


def log_of(job: JobHandle) -> str:
    return f"entrance:///{job.task_id}/log"


def place_of(job: JobHandle) -> str:
    return f"entrance:///{job.task_id}/results"


def result_of(job: JobHandle, index: int = 0) -> str:
    return f"{place_of(job)}/_{index}.dolphin"


def row(i: int, null: str = "NULL") -> list[str]:
    day = ["2024-02-28", "2024-02-29", *(f"2024-03-{n:02}" for n in range(1, TALL))][i]
    return [
        *(str(i), str(i / 4), null if i % 3 == 0 else f"row {i}", str(i % 2 == 0).lower(), day),
        *(f"[{i},null]", "=1+1"),
    ]


class TestTree:
    def test_a_leaf_for_each_result_in_order(self, alice: Caller, table: JobHandle) -> None:
        tree = ask(alice, "GetDirFileTrees", path=place_of(table))["dirFileTrees"]
        assert (tree["name"], tree["path"]) == ("results", place_of(table))
        assert [leaf["name"] for leaf in tree["children"]] == [f"_{n}.dolphin" for n in range(3)]
        known = table.get()
        assert known.create_time is not None
        for index, (leaf, info) in enumerate(zip(tree["children"], table.results(), strict=True)):
            assert leaf["path"] == result_of(table, index)
            assert leaf["isLeaf"] is True
            assert leaf["parentPath"] == place_of(table)
            assert leaf["properties"].keys() == {"size", "modifytime"}
            assert leaf["properties"]["size"] == str(info.size_bytes)
            assert int(leaf["properties"]["modifytime"]) > known.create_time.timestamp() * 1000 - 1

    def test_no_leaf_without_results(self, alice: Caller, script: JobHandle) -> None:
        tree = ask(alice, "GetDirFileTrees", path=place_of(script))["dirFileTrees"]
        assert tree["children"] == []

    def test_null_for_a_place_that_is_not_there(self, alice: Caller) -> None:
        path = f"entrance:///{2**62}/results"
        assert ask(alice, "GetDirFileTrees", path=path) == {"dirFileTrees": None}

    def test_results_of_a_running_job_so_far(self, alice: Caller) -> None:
        code = "display(1)\nimport time\ntime.sleep(1000)"
        job = alice.client.submit(code, engine="python", creator=new_creator())
        until(job.results, "its first result is there")
        tree = ask(alice, "GetDirFileTrees", path=place_of(job))["dirFileTrees"]
        assert [leaf["name"] for leaf in tree["children"]] == ["_0.dolphin"]
        job.kill()


class TestOpenFile:
    def test_a_table(self, alice: Caller, table: JobHandle) -> None:
        data = ask(alice, "OpenFile", path=result_of(table))
        names = ["id", "part", "name", "even", "day", "list", "formula"]
        assert data == {
            "metadata": [
                {"columnName": name, "dataType": type, "comment": ""}
                for name, type in zip(names, TYPES, strict=True)
            ],
            "fileContent": [row(i) for i in range(TALL)],
            "type": "2",
            "totalLine": TALL,
            "totalPage": 1,
            "totalColumn": WIDE,
            "page": 1,
        }

    def test_an_empty_table_has_columns_and_no_rows(self, alice: Caller, table: JobHandle) -> None:
        data = ask(alice, "OpenFile", path=result_of(table, 1))
        assert (data["fileContent"], data["totalLine"], data["totalPage"]) == ([], 0, 0)
        assert len(data["metadata"]) == data["totalColumn"] == 1

    def test_columns_may_share_a_name(self, alice: Caller, table: JobHandle) -> None:
        data = ask(alice, "OpenFile", path=result_of(table, 2), columnPage=2, columnPageSize=1)
        assert [column["columnName"] for column in data["metadata"]] == ["a"]
        assert data["fileContent"] == [["2"]]

    @pytest.mark.parametrize(
        ("given", "null"), [("", "NULL"), ("-", "-"), ("BLANK", ""), ("nil", "nil")]
    )
    def test_null_is_shown_as_it_is_asked_for(
        self, alice: Caller, table: JobHandle, given: str, null: str
    ) -> None:
        data = ask(alice, "OpenFile", path=result_of(table), pageSize=1, nullValue=given)
        assert data["fileContent"] == [row(0, null)]

    @EXAMPLES
    @given(
        page=st.integers(0, TALL + 2),
        page_size=st.integers(0, TALL + 2),
        column_page=st.integers(0, WIDE + 2),
        column_page_size=st.integers(0, WIDE + 2),
        for_display=st.booleans(),
    )
    @example(
        page=2**31 - 1,
        page_size=5000,
        column_page=2**31 - 1,
        column_page_size=500,
        for_display=True,
    )
    def test_pages_of_rows_and_columns(
        self,
        alice: Caller,
        table: JobHandle,
        page: int,
        page_size: int,
        column_page: int,
        column_page_size: int,
        for_display: bool,
    ) -> None:
        data = ask(
            alice,
            "OpenFile",
            path=result_of(table),
            page=page,
            pageSize=page_size,
            columnPage=column_page,
            columnPageSize=column_page_size,
            enableLimit=for_display,
        )
        rows, columns = page_size or 5000, column_page_size or 500
        first, left = (max(page, 1) - 1) * rows, (max(column_page, 1) - 1) * columns
        cells = [row(i)[left : left + columns] for i in range(TALL)[first : first + rows]]
        assert data["fileContent"] == (cells if left < WIDE else [])
        assert [c["dataType"] for c in data["metadata"]] == TYPES[left : left + columns]
        assert (data["page"], data["totalPage"]) == (max(page, 1), -(-TALL // rows))
        assert (data["totalLine"], data["totalColumn"]) == (TALL, WIDE)

    @pytest.mark.parametrize(
        ("index", "type", "cell"), [(0, "5", "<b>bold</b>"), (1, "4", PIXEL), (2, "1", "42")]
    )
    def test_what_is_no_table_is_one_cell(
        self, alice: Caller, display: JobHandle, index: int, type: str, cell: str
    ) -> None:
        assert ask(alice, "OpenFile", path=result_of(display, index), enableLimit=True) == {
            "metadata": [],
            "fileContent": [[cell]],
            "type": type,
            "totalLine": 1,
            "totalPage": 1,
            "totalColumn": 1,
            "page": 1,
        }

    @pytest.mark.parametrize(
        ("query", "field", "err_code"),
        [
            ({"page": -1}, "page", None),
            ({"pageSize": -1}, "pageSize", None),
            ({"pageSize": 5001}, "pageSize", "80034"),
            ({"columnPage": -1}, "columnPage", "80036"),
            ({"columnPageSize": 501}, "columnPageSize", "80036"),
        ],
    )
    def test_a_page_that_is_none_is_refused(
        self, alice: Caller, table: JobHandle, query: Mapping[str, int], field: str, err_code: str
    ) -> None:
        told = refusal(alice, "OpenFile", path=result_of(table), **query)
        assert told.code is grpc.StatusCode.INVALID_ARGUMENT
        assert (told.err_code, list(told.violations)) == (err_code, [field])


class TestOpenLog:
    def test_a_log_by_level(self, alice: Caller, script: JobHandle) -> None:
        error, warn, info, everything = ask(alice, "OpenLog", path=log_of(script))["log"]
        assert everything.split("\n") == texts(script)
        assert error == "2030-01-31 08:00:00 ERROR wrong"
        assert warn == "2030-01-31 08:00:00 WARN beware"
        assert info.split("\n") == [
            text for text in texts(script) if text and text not in (error, warn)
        ]

    @pytest.mark.parametrize(
        ("level", "kept"),
        [("all", "0123"), ("", "0123"), ("error", "0"), ("WARN", "1"), ("error,info", "02")],
    )
    def test_the_levels_that_are_asked_for(
        self, alice: Caller, script: JobHandle, level: str, kept: str
    ) -> None:
        whole = ask(alice, "OpenLog", path=log_of(script))["log"]
        some = ask(alice, "OpenLog", path=log_of(script), logLevel=level)["log"]
        assert some == [text if str(n) in kept else "" for n, text in enumerate(whole)]

    def test_a_level_that_is_none_is_refused(self, alice: Caller, script: JobHandle) -> None:
        told = refusal(alice, "OpenLog", path=log_of(script), logLevel="fatal")
        assert told.violations.keys() == {"logLevel"}

    def test_a_running_job_s_log(self, alice: Caller) -> None:
        job = alice.client.submit("echo on; sleep 1000", engine="shell", creator=new_creator())
        said(job, "on")
        assert "\non" in ask(alice, "OpenLog", path=log_of(job))["log"][3]
        job.kill()


class TestExport:
    def test_csv(self, alice: Caller, table: JobHandle) -> None:
        file = sent(alice, "ResultsetToExcel", path=result_of(table))
        read = list(csv.reader(io.StringIO(file.content.decode(), newline="")))
        assert read[0] == ["id", "part", "name", "even", "day", "list", "formula"]
        assert read[1:] == [row(i) for i in range(TALL)]
        assert (file.name, file.media_type) == ("downloadResultset.csv", "text/csv; charset=utf-8")
        headers = file.response.headers
        assert headers["content-disposition"] == 'attachment; filename="downloadResultset.csv"'
        assert headers["x-content-type-options"] == "nosniff"

    def test_csv_as_it_is_asked_for(self, alice: Caller, table: JobHandle) -> None:
        file = sent(
            alice,
            "ResultsetToExcel",
            path=result_of(table),
            csvSeparator="\t",
            nullValue="BLANK",
            limit=2,
            outputFileName="Flüge",
        )
        assert file.content.decode().split("\r\n") == [
            "\t".join(["id", "part", "name", "even", "day", "list", "formula"]),
            "\t".join(row(0, "")),
            "\t".join(row(1)),
            "",
        ]
        assert file.name == "Flüge.csv"

    def test_a_workbook(self, alice: Caller, table: JobHandle) -> None:
        file = sent(
            alice,
            "ResultsetToExcel",
            path=result_of(table),
            outputFileType="xlsx",
            sheetName="my/sheet",
        )
        assert file.name == "downloadResultset.xlsx"
        book = openpyxl.load_workbook(io.BytesIO(file.content))
        assert book.sheetnames == ["mysheet"]
        _, first, second, *_ = book.active.iter_rows(values_only=True)
        assert first[:4] == (0, 0, "NULL", True)
        assert second[:4] == (1, 0.25, "row 1", False)
        assert first[4].isoformat() == "2024-02-28T00:00:00"
        assert second[5:] == ("[1,null]", "=1+1")
        assert book.active.max_row == TALL + 1

    @pytest.mark.parametrize(
        ("name", "disposition"),
        [
            ("a b", "attachment; filename=\"a_b.csv\"; filename*=UTF-8''a%20b.csv"),
            ("..", 'attachment; filename="downloadResultset.csv"'),
            ("../../x", 'attachment; filename="_.._x.csv"'),
            ("x\r\nSet-Cookie: a=b", None),
            ('x"; filename="y', None),
            ("x" * 10_000, 'attachment; filename="' + "x" * 150 + '.csv"'),
        ],
        ids=lambda value: str(value)[:20],
    )
    def test_a_file_name_breaks_no_header(
        self, alice: Caller, table: JobHandle, name: str, disposition: str | None
    ) -> None:
        file = sent(alice, "ResultsetToExcel", path=result_of(table), outputFileName=name)
        told = file.response.headers["content-disposition"]
        assert "set-cookie" not in file.response.headers
        assert told.count("filename=") == 1
        assert told.count('"') == 2
        assert disposition in (None, told)

    @pytest.mark.parametrize(
        ("query", "err_code"),
        [
            ({"outputFileType": "pdf"}, "80015"),
            ({"csvSeparator": "ab"}, None),
            ({"csvSeparator": '"'}, None),
        ],
    )
    def test_what_can_not_be_is_refused(
        self, alice: Caller, table: JobHandle, query: dict[str, str], err_code: str | None
    ) -> None:
        told = refusal(alice, "ResultsetToExcel", path=result_of(table), **query)
        assert told.code is grpc.StatusCode.INVALID_ARGUMENT
        assert told.err_code == err_code
        assert told.violations.keys() == set(query)

    def test_only_a_table_is_exported(self, alice: Caller, display: JobHandle) -> None:
        for type in ("csv", "xlsx"):
            told = refusal(alice, "ResultsetToExcel", path=result_of(display), outputFileType=type)
            assert (told.code, told.err_code) == (grpc.StatusCode.INVALID_ARGUMENT, "80024")


class TestDownload:
    def test_a_log_as_it_is(self, alice: Caller, script: JobHandle) -> None:
        file = sent(alice, "Download", path=log_of(script))
        assert file.content.decode().split("\n") == [*texts(script), ""]
        assert (file.name, file.media_type) == (
            f"{script.task_id}.log",
            "text/plain; charset=utf-8",
        )

    def test_a_table_as_parquet(self, alice: Caller, table: JobHandle) -> None:
        file = sent(alice, "Download", path=result_of(table))
        assert pq.read_table(pa.BufferReader(file.content)).num_rows == TALL
        assert (file.name, file.media_type) == (
            f"{table.task_id}_0.parquet",
            "application/vnd.apache.parquet",
        )

    @pytest.mark.parametrize(
        ("index", "ending", "content"),
        [(0, "html", b"<b>bold</b>"), (1, "png", base64.b64decode(PIXEL)), (2, "txt", b"42")],
    )
    def test_another_kind_as_it_is(
        self, alice: Caller, display: JobHandle, index: int, ending: str, content: bytes
    ) -> None:
        path = result_of(display, index)
        response = alice.rest.http.get(ROUTES["Download"].path, params={"path": path})
        assert response.content == content
        name = f"{display.task_id}_{index}.{ending}"
        assert response.headers["content-disposition"] == f'attachment; filename="{name}"'
        assert response.headers["content-security-policy"].startswith("sandbox")


class TestDenied:
    @pytest.mark.parametrize("rpc", FILE_RPCS)
    def test_somebody_else_s_job(self, bob: Caller, table: JobHandle, rpc: str) -> None:
        path = {"GetDirFileTrees": place_of, "OpenLog": log_of}.get(rpc, result_of)(table)
        told = refusal(bob, rpc, path=path)
        assert (told.code, told.err_code) == (grpc.StatusCode.PERMISSION_DENIED, "80010")
        assert told.message == f"There is nothing at '{path}', or it is not yours."

    @pytest.mark.parametrize("rpc", ["OpenFile", "OpenLog", "ResultsetToExcel", "Download"])
    def test_a_job_that_is_not_there_in_the_same_words(self, bob: Caller, rpc: str) -> None:
        path = f"entrance:///{2**62}/" + ("log" if rpc == "OpenLog" else "results/_0.dolphin")
        told = refusal(bob, rpc, path=path)
        assert (told.code, told.err_code) == (grpc.StatusCode.NOT_FOUND, "80011")
        assert told.message == f"There is nothing at '{path}', or it is not yours."

    def test_a_result_that_is_not_there(self, alice: Caller, table: JobHandle) -> None:
        for rpc in ("OpenFile", "ResultsetToExcel", "Download"):
            told = refusal(alice, rpc, path=result_of(table, 3))
            assert (told.code, told.err_code) == (grpc.StatusCode.NOT_FOUND, "80012")

    def test_a_path_of_another_kind(self, alice: Caller, table: JobHandle) -> None:
        for rpc, path in (
            ("GetDirFileTrees", log_of(table)),
            ("GetDirFileTrees", result_of(table)),
            ("OpenFile", log_of(table)),
            ("OpenFile", place_of(table)),
            ("OpenLog", result_of(table)),
            ("ResultsetToExcel", log_of(table)),
            ("Download", place_of(table)),
        ):
            told = refusal(alice, rpc, path=path)
            assert (told.code, told.err_code) == (grpc.StatusCode.NOT_FOUND, "80012")

    @pytest.mark.parametrize("rpc", FILE_RPCS)
    def test_an_empty_path(self, alice: Caller, rpc: str) -> None:
        for path in ("", "  "):
            told = refusal(alice, rpc, path=path)
            assert (told.code, told.err_code) == (grpc.StatusCode.INVALID_ARGUMENT, "80004")
            assert told.violations.keys() == {"path"}

    @pytest.mark.parametrize("rpc", FILE_RPCS)
    @pytest.mark.parametrize(
        "trick",
        [
            "/etc/passwd",
            "file:///etc/passwd",
            "file://{data}/admin.token",
            "{data}/admin.token",
            "{data}/jobs/0/{id}/log",
            "entrance:///{id}/../../../admin.token",
            "entrance:///{id}/results/../log",
            "entrance:///{id}/results/..%2flog",
            "entrance:///{id}/results/%2e%2e/log",
            "entrance:///{id}/results/%252e%252e/log",
            "entrance:///{id}/log\0",
            "entrance:///{id}/log.idx",
            "entrance:///{id}\\log",
            "entrance://{data}/admin.token",
            "hdfs:///{id}/log",
            "ENTRANCE:///{id}/log",
            "entrance:///{id}/results/1-0.parquet",
            "entrance:///{id}/\uff4c\uff4f\uff47",
            "../" * 3_333,
        ],
    )
    def test_a_path_trick(
        self, service: Service, alice: Caller, table: JobHandle, rpc: str, trick: str
    ) -> None:
        path = trick.replace("{id}", str(table.task_id)).replace("{data}", str(service.data_dir))
        told = refusal(alice, rpc, path=path)
        assert (told.code, told.err_code) == (grpc.StatusCode.PERMISSION_DENIED, "80010")

    def test_a_link_that_a_job_left_leads_nowhere(self, service: Service, alice: Caller) -> None:
        code = f"ln -s {service.data_dir}/admin.token log; ln -s / results; pwd"
        job = alice.client.submit(code, engine="shell", creator=new_creator())
        ended(job, JobStatus.SUCCEED)
        secret = (service.data_dir / "admin.token").read_text().strip()
        assert secret not in sent(alice, "Download", path=log_of(job)).content.decode()
        assert ask(alice, "GetDirFileTrees", path=place_of(job))["dirFileTrees"]["children"] == []

    @EXAMPLES
    @given(
        rpc=st.sampled_from(FILE_RPCS),
        path=st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
        | st.builds(
            "entrance:///{}/{}".format, st.integers(), st.text(st.characters(codec="utf-8"))
        ),
        encode=st.sampled_from([quote, lambda text: quote(quote(text))]),
    )
    def test_any_text_for_a_path_is_answered(
        self, alice: Caller, rpc: str, path: str, encode: Any
    ) -> None:
        response = alice.rest.http.get(f"{ROUTES[rpc].path}?path={encode(path)}")
        answer = answer_of(response)
        assert (answer.http, answer.status) in ((400, 1), (403, 3))
        assert answer.data["errCode"] in (80004, 80010, 80011, 80012)


@pytest.fixture(scope="module")
def narrow() -> Iterator[Service]:
    """A service that gives little at once."""
    with running_service(
        {
            "ENTRANCE_OPEN_PAGE_BYTES": "20000",
            "ENTRANCE_OPEN_CELL_CHARACTERS": "100",
            "ENTRANCE_OPEN_LOG_BYTES": str(128 * 1024),
            "ENTRANCE_OPEN_PAGE_ROWS": "50",
            "ENTRANCE_EXPORT_ROWS": "3",
        }
    ) as service:
        yield service


@pytest.fixture(scope="module")
def large(narrow: Service) -> JobHandle:
    code = (
        "SELECT i, repeat('x', 1000) AS long FROM range(50) t(i);"
        "SELECT repeat('x', 101) AS cell;"
        "SELECT i FROM range(60) t(i)"
    )
    job = narrow.alice.client.submit(code, engine="duckdb")
    ended(job, JobStatus.SUCCEED)
    return job


class TestLimits:
    def test_a_page_that_is_too_large_is_not_displayed(
        self, narrow: Service, large: JobHandle
    ) -> None:
        data = ask(narrow.alice, "OpenFile", path=result_of(large), enableLimit=True)
        assert data["display_prohibited"] is True
        assert (data["type"], data["fileContent"], data["totalLine"]) == ("2", [], 50)

    def test_or_refused_where_it_is_for_a_program(self, narrow: Service, large: JobHandle) -> None:
        told = refusal(narrow.alice, "OpenFile", path=result_of(large))
        assert (told.code, told.err_code) == (grpc.StatusCode.INVALID_ARGUMENT, "80034")
        assert "resultsetToExcel" in told.message

    def test_a_smaller_page_is_given(self, narrow: Service, large: JobHandle) -> None:
        data = ask(narrow.alice, "OpenFile", path=result_of(large), pageSize=10, page=5)
        assert [cells[0] for cells in data["fileContent"]] == [str(n) for n in range(40, 50)]

    def test_a_long_cell_is_not_displayed(self, narrow: Service, large: JobHandle) -> None:
        shown = ask(narrow.alice, "OpenFile", path=result_of(large, 1), enableLimit=True)
        assert shown["display_prohibited"] is True
        read = ask(narrow.alice, "OpenFile", path=result_of(large, 1))
        assert read["fileContent"] == [["x" * 101]]
        assert "display_prohibited" not in read

    def test_another_kind_that_is_too_large(self, narrow: Service) -> None:
        code = "from IPython.display import HTML\nHTML('x' * 20_001)"
        job = narrow.alice.client.submit(code, engine="python")
        ended(job, JobStatus.SUCCEED)
        shown = ask(narrow.alice, "OpenFile", path=result_of(job), enableLimit=True)
        assert (shown["display_prohibited"], shown["fileContent"]) == (True, [])
        told = refusal(narrow.alice, "OpenFile", path=result_of(job))
        assert told.err_code == "80033"
        assert len(sent(narrow.alice, "Download", path=result_of(job)).content) == 20_001

    def test_rows_in_a_page_and_in_an_export(self, narrow: Service, large: JobHandle) -> None:
        path = result_of(large, 2)
        assert len(ask(narrow.alice, "OpenFile", path=path)["fileContent"]) == 50
        assert refusal(narrow.alice, "OpenFile", path=path, pageSize=51).err_code == "80034"
        for limit, rows in ((0, 3), (10, 10), (-1, 60), (1000, 60)):
            file = sent(narrow.alice, "ResultsetToExcel", path=path, limit=limit)
            assert len(file.content.split()) == rows + 1

    def test_a_long_log_keeps_its_end_and_says_so(self, narrow: Service) -> None:
        code = "for i in range(20000): print('line', i)"
        job = narrow.alice.client.submit(code, engine="python")
        ended(job, JobStatus.SUCCEED)
        log = _log_lines(narrow.alice, job)
        whole = sent(narrow.alice, "Download", path=log_of(job)).content.decode().split("\n")[:-1]
        assert "are left out here" in log[0]
        assert f"{len(whole) - len(log) + 1:,} lines" in log[0]
        assert whole[-len(log) + 1 :] == log[1:]
        assert sum(len(line) + 1 for line in log[1:]) <= 128 * 1024


def _log_lines(caller: Caller, job: JobHandle) -> list[str]:
    response = caller.rest.http.get(ROUTES["OpenLog"].path, params={"path": log_of(job)})
    lines: list[str] = response.json()["data"]["log"][3].split("\n")
    return lines


LARGE = """\
import pandas
n = range(100_000)
pandas.DataFrame({
    "id": n,
    "part": [i / 7 for i in n],
    "name": [f"row number {i}" for i in n],
    "day": pandas.Timestamp("2024-02-29"),
    "text": ["x" * 1000 for i in n],
})
"""


def test_a_large_table_is_exported_with_bounded_memory(own_service: Service) -> None:
    alice = own_service.alice
    job = alice.client.submit(LARGE, engine="python")
    ended(job, JobStatus.SUCCEED)
    assert ask(alice, "OpenFile", path=result_of(job), pageSize=1)["totalLine"] == 100_000
    for type in ("csv", "xlsx"):  # what is used for the first time is loaded
        sent(alice, "ResultsetToExcel", path=result_of(job), outputFileType=type, limit=100)
    daemons = [psutil.Process(own_service.server.pid), psutil.Process(own_service.gateway.pid)]
    before = [one.memory_info().rss for one in daemons]
    for type, least in (("csv", 100 * 2**20), ("xlsx", 2 * 2**20)):
        size, most = 0, 0
        query = f"path={result_of(job)}&outputFileType={type}&limit=-1"
        with alice.rest.http.stream("GET", f"{ROUTES['ResultsetToExcel'].path}?{query}") as answer:
            for piece in answer.iter_raw():
                size += len(piece)
                grown = [one.memory_info().rss - b for one, b in zip(daemons, before, strict=True)]
                most = max(most, *grown)
        assert size > least
        assert most < 64 * 2**20
