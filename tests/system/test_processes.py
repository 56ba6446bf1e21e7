"""What these tests and the benchmarks start is ended, whatever happens."""
import contextlib
import io
import pathlib

from processes import InteropTest, Programs


class ProgramsInAWith(InteropTest):
    def test_are_ended_and_their_folder_is_removed(self):
        with Programs() as programs:
            child = programs.run_process("sleep", "sleep", "600").child
            folder = programs.folder
            self.assertIsNone(child.poll())
        self.assertIsNotNone(child.poll())
        self.assertFalse(folder.exists())

    def test_are_ended_and_their_logs_shown_after_an_exception(self):
        shown = io.StringIO()
        with self.assertRaisesRegex(ValueError, "midway"), contextlib.redirect_stdout(shown):
            with Programs() as programs:
                talker = programs.run_process("talker", "sh", "-c", "echo it has begun; exec sleep 600")
                programs.wait_until("it has spoken", talker.text, 60)
                raise ValueError("midway")
        self.assertIsNotNone(talker.child.poll())
        self.assertFalse(programs.folder.exists())
        self.assertIn("it has begun", shown.getvalue())

    def test_are_ended_even_where_their_logs_cannot_be_shown(self):
        with self.assertRaises(FileNotFoundError):
            with Programs() as programs:
                process = programs.run_process("sleep", "sleep", "600")
                pathlib.Path(process.log).unlink()
                raise ValueError("midway")
        self.assertIsNotNone(process.child.poll())
        self.assertFalse(programs.folder.exists())
